"""The HTTP side: routes, and what becomes of every request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import torch
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay.server import metrics, protocol, uploads
from assay.server.clients import Client
from assay.server.journal import Reply
from assay.server.limits import BODY_SECONDS, LINGER_BYTES, LINGER_SECONDS
from assay.server.refusal import Refused
from assay.server.service import Service

EXTENSIONS = ["binary_tensor_data", "model_repository", "usage", "classify"]

FILES = 1000
"""In a form, before they are counted against the limit of a batch."""

PART = 1 << 18
"""Bytes of a form that are read in one go."""

T = TypeVar("T")
Answer = Callable[[Request], Awaitable[Response]]


@dataclass
class Note:
    """What the log says of a request besides its status."""

    route: str = "unknown"
    client: str | None = None
    id: str | None = None
    images: int | None = None
    reason: str | None = None
    body_arrived: bool = False


def build_app(service: Service) -> Starlette:
    """The application of a service, to be served by any ASGI server."""
    routes = Routes(service)
    model = "/v2/models/{name:path}"
    version = f"{model}/versions/{{version}}"
    table: list[tuple[str, str, Answer]] = [
        ("GET", "/v2", routes.server),
        ("GET", "/v2/health/live", routes.healthy),
        ("GET", "/v2/health/ready", routes.healthy),
        ("GET", "/metrics", routes.metrics),
        ("POST", "/v2/repository/index", routes.index),
        *((method, root + path, answer) for root in (version, model) for method, path, answer in routes.of_a_model()),
    ]
    return Starlette(
        routes=[Route(path, _noted(path, answer), methods=[method]) for method, path, answer in table],
        middleware=[Middleware(Observed, service=service)],
        exception_handlers={Refused: _refused, HTTPException: _refused_by_starlette},
    )


class Observed:
    """Middleware: one line in the log and one count for each request, and one sentence for what nobody foresaw."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        note = scope["assay"] = Note()
        began, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def received() -> Message:
            message = await receive()
            note.body_arrived = not message.get("more_body", False)
            return message

        try:
            await self.app(scope, received, watched)
        except ClientDisconnect:
            note.reason = "gone"
        except Exception as error:
            self.service.log.write("error", route=note.route, error=f"{type(error).__name__}: {error}")
            note.reason = "error"
            if status == 0:
                failed = JSONResponse({"error": "The service failed.", "reason": "error"}, 500)
                await failed(scope, receive, watched)
        finally:
            self._record(scope, note, status, time.perf_counter() - began)

    def _record(self, scope: Scope, note: Note, status: int, seconds: float) -> None:
        counts, peer = self.service.metrics, scope.get("client")
        counts.count("assay_requests_total", route=note.route, status=str(status))
        if note.reason is not None:
            counts.count("assay_refusals_total", reason=note.reason)
        if note.images is not None:
            counts.took(seconds)
        self.service.log.write(
            "request",
            method=scope["method"],
            route=note.route,
            status=status,
            seconds=round(seconds, 6),
            peer=peer[0] if peer else None,
            client=note.client,
            id=note.id,
            images=note.images,
            reason=note.reason,
        )


class Refusal(JSONResponse):
    """An answer to a request whose body may not have been read.

    It is sent at once. Then what the client is still sending is thrown away for a while: were the connection closed
    while bytes arrive, the client's system would report a broken connection in place of the answer.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        note: Note = scope["assay"]
        thrown = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not note.body_arrived and thrown < LINGER_BYTES:
                    thrown += len((await receive()).get("body", b""))
        await send({"type": "http.response.body", "body": b""})


class Routes:
    """What is answered where."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def of_a_model(self) -> list[tuple[str, str, Answer]]:
        """Methods, paths below the model's, and answers."""
        return [
            ("GET", "/ready", self.ready),
            ("GET", "/usage", self.usage),
            ("POST", "/infer", self.infer),
            ("POST", "/classify", self.classify),
            ("GET", "", self.metadata),
        ]

    async def server(self, request: Request) -> Response:
        """Name, version and extensions of the server."""
        from importlib.metadata import version

        return JSONResponse({"name": "assay", "version": version("modelassay"), "extensions": EXTENSIONS})

    async def healthy(self, request: Request) -> Response:
        """Whether the process answers."""
        return Response()

    async def index(self, request: Request) -> Response:
        """The models that are served."""
        self._client(request)
        return JSONResponse([{"name": self.service.name, "version": protocol.VERSION, "state": "READY"}])

    async def metrics(self, request: Request) -> Response:
        """Counters in the text format of Prometheus."""
        self.service.clients.check_metrics(request.headers.get("Authorization"), _peer(request))
        return PlainTextResponse(self.service.metrics.text(), media_type=metrics.CONTENT_TYPE)

    async def ready(self, request: Request) -> Response:
        """Whether the model answers."""
        self._asker(request)
        return Response()

    async def metadata(self, request: Request) -> Response:
        """Inputs and outputs of the model."""
        return JSONResponse(self.service.metadata(self._asker(request)))

    async def usage(self, request: Request) -> Response:
        """What the caller's key has spent, and may still spend."""
        client = self._asker(request)
        return JSONResponse(await self.service.help(self.service.usage, client))

    async def infer(self, request: Request) -> Response:
        """Answers by the Open Inference Protocol."""
        client, service = self._asker(request), self.service
        with client.admitted():
            header = request.headers.get(protocol.HEADER)
            asking = await self._with_body(
                request, client, lambda body: service.help(protocol.parse, body, header, service.form)
            )
            reply = await self._answered(request, client, asking.id, asking.pixels)
            body, headers = await service.help(protocol.render, reply, service.name, asking)
            return Response(body, headers=headers)

    async def classify(self, request: Request) -> Response:
        """The answer to one uploaded picture."""
        client, service = self._asker(request), self.service
        if service.target.modality != "image":
            raise Refused("unsupported", "This model reads texts: pictures cannot be classified; send rows of bytes.")
        id = protocol.checked_id(request.headers.get("Idempotency-Key"))
        with client.admitted():
            pixels = await self._with_body(request, client, lambda body: self._decoded(request, body))
            reply = await self._answered(request, client, id, pixels)
            names = service.target.class_names
            labels = reply.values if reply.output == "label" else reply.values.argmax(axis=1)
            predictions = [{"label": label, "class_name": names[label] if names else None} for label in labels.tolist()]
            if reply.output != "label":
                for prediction, row in zip(predictions, reply.values.tolist(), strict=True):
                    prediction["posteriors"] = row
            return JSONResponse({"model_name": service.name, "predictions": predictions})

    async def _decoded(self, request: Request, body: bytes) -> torch.Tensor:
        service = self.service
        files = await _files(request, body) if _is_form(request) else [body]
        protocol.check_count(len(files), service.form)
        decoded = await service.help(uploads.decode, files, service.target.input_shape, service.limits.pixels)
        return protocol.checked(decoded)

    async def _answered(self, request: Request, client: Client, id: str | None, pixels: torch.Tensor) -> Reply:
        note: Note = request.scope["assay"]
        note.id, note.images = id, len(pixels)
        with client.memory.holding(pixels.nbytes):
            return await self.service.answer(client, id, pixels)

    def _client(self, request: Request) -> Client:
        client = self.service.clients.ask(request.headers.get("Authorization"), _peer(request))
        request.scope["assay"].client = client.account.client
        return client

    def _asker(self, request: Request) -> Client:
        client = self._client(request)
        name, version = request.path_params["name"], request.path_params.get("version", protocol.VERSION)
        if (name, version) != (self.service.name, protocol.VERSION):
            raise Refused("not_found", f"There is no such model here; there is {self.service.name!r}.")
        return client

    async def _with_body(self, request: Request, client: Client, use: Callable[[bytes], Awaitable[T]]) -> T:
        """What ``use`` makes of a request's body, which is held in memory no longer than that."""
        held, limit = 0, self.service.limits.body
        too_large = Refused("too_large", f"A request may have {limit} bytes; this one has more.")
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused("unsupported", "Compressed requests are refused.")
        if int(request.headers.get("Content-Length", "0")) > limit:
            raise too_large
        parts = []
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for part in request.stream():
                    if held + len(part) > limit:
                        raise too_large
                    client.memory.add(len(part))
                    held += len(part)
                    parts.append(part)
            return await use(b"".join(parts))
        except TimeoutError:
            raise Refused("too_slow", f"The body did not arrive within {BODY_SECONDS:g} seconds.") from None
        finally:
            client.memory.release(held)


def _noted(path: str, answer: Answer) -> Answer:
    route = path.replace("{name:path}", "{name}")

    async def noted(request: Request) -> Response:
        request.scope["assay"].route = route
        return await answer(request)

    return noted


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused), "registered for nothing else"
    request.scope["assay"].reason = error.reason
    return Refusal(error.body(), error.status, error.headers)


async def _refused_by_starlette(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for nothing else"
    if error.status_code in (404, 405):
        refused = Refused("not_found", "There is nothing here; see the Open Inference Protocol, version 2.")
    else:
        refused = Refused("bad_request", f"The request is damaged: {error.detail}")
    return await _refused(request, refused)


def _peer(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _is_form(request: Request) -> bool:
    return request.headers.get("Content-Type", "").lower().startswith("multipart/form-data")


async def _files(request: Request, body: bytes) -> list[bytes]:
    parts = iter(range(0, len(body), PART) or (0,))

    async def receive() -> Message:
        start = next(parts)
        await asyncio.sleep(0)  # others' turn
        return {"type": "http.request", "body": body[start : start + PART], "more_body": start + PART < len(body)}

    async with Request(request.scope, receive).form(max_files=FILES, max_fields=10) as form:
        return [await item.read() for _, item in form.multi_items() if isinstance(item, UploadFile)]
