"""Services to be asked in tests: one without a network, and a small HTTP server on this machine that misbehaves."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import softmax

from assay.access.remote.address import Address
from assay.access.remote.service import Rows, Service

CLASSES = 3
SHAPE = (1, 4, 4)


def truth(pixels: torch.Tensor) -> Rows:
    """The posteriors of an obviously right model: three weighted sums of the pixels."""
    weights = np.random.default_rng(7).normal(size=(16, CLASSES)).astype(np.float32)
    rows: Rows = softmax(np.array([image.reshape(-1) @ weights for image in pixels.numpy()]), axis=1)
    return rows.astype(np.float32)


def images(count: int, seed: int = 0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(0, 256, (count, *SHAPE), dtype=np.uint8)).float().div(255)


class Fake(Service):
    """A service in this process. It charges each id once, and does what its ``plan`` says before or after."""

    scheme: ClassVar[str] = "fake"
    title: ClassVar[str] = "Fake"
    example: ClassVar[str] = "fake:"
    classes = ("a", "b", "c")
    shape = SHAPE
    batch = 4
    idempotent = True

    def __init__(self) -> None:
        super().__init__(Address("fake", "", {}, "fake:"))
        self.charged: dict[str, int] = {}
        self.requests: list[str] = []
        self.plan: Callable[[str], BaseException | None] = lambda moment: None
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return "http://127.0.0.1:9"

    def ask(self, id: str, inputs: torch.Tensor) -> Rows:
        with self._lock:
            self.requests.append(id)
            if (failure := self.plan("before")) is not None:
                raise failure
            if self.idempotent:
                self.charged[id] = len(inputs)
            else:
                self.charged[f"{id} {len(self.requests)}"] = len(inputs)
            if (failure := self.plan("after")) is not None:
                raise failure
        return truth(inputs)


Handle = Callable[[str, str, dict[str, str], bytes], Any]
"""Method, path, headers (lower case) and body to (status, headers, body), or to ``reset`` or ``hang``."""


@contextmanager
def serving(handle: Handle) -> Iterator[str]:
    """An HTTP server on this machine; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = handle(self.command, self.path, headers, body)
            if answer == "reset":
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            if answer == "hang":
                time.sleep(1.0)
                self.close_connection = True
                return
            status, extra, content = answer
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def as_json(content: Any, status: int = 200, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return status, headers, json.dumps(content).encode()


class Protocol:
    """A server of the Open Inference Protocol, written from its specification, with one model called ``m``.

    ``faults`` are answers given in place of the next inferences: before the model is asked if they stand in
    ``faults``, after it was charged if in ``late``.
    """

    def __init__(self, *, binary: bool = True, name: str = "assay", output: str = "posteriors") -> None:
        self.binary, self.name, self.output = binary, name, output
        self.extensions = ["binary_tensor_data"] if binary else []
        self.version = "1"
        self.parameters: dict[str, Any] = {"output": output, "num_classes": CLASSES, "class_names": ["a", "b", "c"]}
        self.faults: list[Any] = []
        self.late: list[Any] = []
        self.charged: dict[str, int] = {}
        self.keys: list[str | None] = []
        self.change: Callable[[dict[str, Any]], Any] = lambda answer: answer

    @property
    def images(self) -> int:
        return sum(self.charged.values())

    def __call__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        self.keys.append(headers.get("authorization"))
        label = self.output == "label"
        if path == "/v2":
            return as_json({"name": self.name, "version": "0", "extensions": self.extensions})
        if path == "/v2/repository/index":
            return as_json([{"name": "m", "state": "READY"}])
        if path == "/v2/models/m":
            return as_json(
                {
                    "name": "m",
                    "versions": [self.version],
                    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, *SHAPE]}],
                    "outputs": [
                        {
                            "name": "y",
                            "datatype": "INT64" if label else "FP32",
                            "shape": [-1] if label else [-1, CLASSES],
                        }
                    ],
                    "parameters": self.parameters,
                }
            )
        if path != "/v2/models/m/infer":
            return as_json({"error": "no such model"}, 404)
        if self.faults and (fault := self.faults.pop(0)) is not None:
            return fault
        length = int(headers.get("inference-header-content-length", len(body)))
        request = json.loads(body[:length])
        (tensor,) = request["inputs"]
        given = np.frombuffer(body[length:], "<f4") if length < len(body) else np.array(tensor["data"], np.float32)
        rows = truth(torch.from_numpy(given.reshape(tensor["shape"]).copy()))
        self.charged[request["id"]] = len(rows)
        if self.late and (fault := self.late.pop(0)) is not None:
            return fault
        values = rows.argmax(axis=1) if label else rows
        output = {"name": "y", "datatype": "INT64" if label else "FP32", "shape": list(values.shape)}
        answer = {"model_name": "m", "model_version": self.version, "id": request["id"], "outputs": [output]}
        if not self.binary or label:
            output["data"] = values.ravel().tolist()
            return as_json(self.change(answer))
        raw = values.tobytes()
        output["parameters"] = {"binary_data_size": len(raw)}
        head = json.dumps(self.change(answer)).encode()
        return 200, {"Inference-Header-Content-Length": str(len(head))}, head + raw
