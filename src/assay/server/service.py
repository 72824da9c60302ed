"""A target behind a service: asked through the oracle, charged in the journal, one inference at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from assay.access import Oracle, PosteriorStore, Serving
from assay.access.detectors import Watch
from assay.base.digests import digest_arrays
from assay.base.errors import AssayError, WorkspaceError
from assay.server.clients import Client, Clients
from assay.server.journal import Journal, Question, Reply
from assay.server.keys import KeyFile
from assay.server.limits import TURN_SECONDS, Limits
from assay.server.log import Log
from assay.server.metrics import Metrics
from assay.server.protocol import INPUT, OUTPUT_DATATYPES, VERSION, Form
from assay.server.refusal import Refused
from assay.server.watch import Watchtower
from assay.targets.target import Target

T = TypeVar("T")

MOST_STORED = 1_000_000
"""Images whose logits are kept; then the store is begun anew."""


class Service:
    """One model, its clients and its books."""

    def __init__(
        self,
        target: Target,
        serving: Serving,
        folder: Path,
        *,
        name: str | None = None,
        keys: KeyFile | None = None,
        limits: Limits | None = None,
        watches: Mapping[str, Callable[[], Watch]] | None = None,
        log: Log | None = None,
    ) -> None:
        """Put a target behind a service.

        Args:
            target: what answers.
            serving: output mode and policies; its budget and price are each client's, unless its key says otherwise.
            folder: where the journal and the logits are kept; a restarted service goes on with them.
            name: what clients call the model [the target's name].
            keys: who may ask; None: anybody.
            limits: see `Limits`.
            watches: by the names of detectors, makers of watches, one for each client.
            log: where to write; nowhere by default.

        Raises:
            AssayError: if the folder cannot be used, or a policy is not valid.
        """
        self.name = name or target.name
        self.target, self.serving = target, serving
        self.limits = limits or Limits()
        self.log, self.metrics = log or Log(None), Metrics()
        self.clients = Clients(keys, serving, self.limits)
        self.form = Form(target.input_shape, self.limits.batch, "label" if serving.output == "label" else "posteriors")
        self.journal = Journal(folder / "journal.sqlite")
        self._folder = folder
        self._answering = serving.model_copy(update={"budget": None})
        self._store = PosteriorStore(folder / "stores" / f"{target.digest}.logits", target.num_classes)
        self._oracle = Oracle(target, self._answering, self._store)
        self._tower = Watchtower(watches or {}, self.log, self.metrics)
        self._model = ThreadPoolExecutor(1, "model")
        self._helpers = ThreadPoolExecutor(2, "helper")

    def close(self) -> None:
        """Finish what was begun, and close the books."""
        self._helpers.shutdown()
        self._model.shutdown()
        self._tower.close()
        self.journal.close()

    def metadata(self, client: Client) -> dict[str, Any]:
        """What the protocol says of a model, and under ``parameters`` what it has no place for."""
        classes = self.target.num_classes
        shape = [-1] if self.form.output == "label" else [-1, classes]
        output = {"name": self.form.output, "datatype": OUTPUT_DATATYPES[self.form.output], "shape": shape}
        tensor = {"name": INPUT, "shape": [-1, *self.target.input_shape]}
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": "assay",
            "inputs": [{**tensor, "datatype": "FP32", "parameters": {"also": "UINT8", "minimum": 0.0, "maximum": 1.0}}],
            "outputs": [output],
            "parameters": {
                "modality": self.target.modality,
                "output": self.serving.output,
                "num_classes": classes,
                "class_names": list(self.target.class_names),
                "price_per_1000": client.account.price_per_1000,
                "max_batch": self.limits.batch,
            },
        }

    def usage(self, client: Client) -> dict[str, Any]:
        """What a client was charged, and what its budget has left (None: there is none)."""
        spent, account = self.journal.spent(client.account.client), client.account
        return {
            "model_name": self.name,
            "client": client.name,
            "images": spent.images,
            "calls": spent.calls,
            "price": spent.price,
            "price_per_1000": account.price_per_1000,
            "budget": account.budget,
            "remaining": None if account.budget is None else max(0, account.budget - spent.images),
        }

    async def help(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do a piece of work beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._helpers, partial(work, *arguments))

    async def answer(self, client: Client, id: str | None, pixels: torch.Tensor) -> Reply:
        """The answer to images float32 (n, c, h, w) in [0, 1], charged; under an ``id`` once only.

        Raises:
            Refused: if the budget has no room, the id stands for other images, the client's turn does not come, or
                the model or the disk fails. Nothing was charged then.
        """
        question = Question(id, await self.help(_digest, pixels))
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await client.turn.acquire()
        except TimeoutError:
            raise Refused("busy", "The service is busy; nothing was charged.", 5.0) from None
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._model, self._settle, client, question, pixels)
        finally:
            client.turn.release()

    def _settle(self, client: Client, question: Question, pixels: torch.Tensor) -> Reply:
        try:
            known = self.journal.find(client.account, question)
            if known is not None:
                self.metrics.count("assay_replays_total")
                return known
            self.journal.afford(client.account, len(pixels))
            reply = self._asked(client, pixels)
            answered = self.journal.charge(client.account, question, reply)
        except WorkspaceError as error:
            self.log.write("error", client=client.account.client, error=str(error))
            raise Refused(
                "storage", "The service cannot keep its books at the moment; nothing was charged.", 10.0
            ) from error
        self.metrics.count("assay_images_total", len(pixels))
        return answered

    def _asked(self, client: Client, pixels: torch.Tensor) -> Reply:
        if len(self._store) >= MOST_STORED:
            self._begin_store()
        try:
            reply = Reply.of(self._oracle.serving_as(self._answering).ask(pixels))
            if self._tower.watches:
                self._tower.hear(client.account.client, pixels, self._oracle.evaluator().ask(pixels))
            return reply
        except WorkspaceError:
            raise
        except AssayError as error:
            self.log.write("error", client=client.account.client, error=str(error))
            raise Refused("model", "The model failed; nothing was charged.") from error

    def _begin_store(self) -> None:
        path = self._folder / "stores" / f"{self.target.digest}-serving.logits"
        path.unlink(missing_ok=True)
        self._store = PosteriorStore(path, self.target.num_classes)
        self._oracle = Oracle(self.target, self._answering, self._store)


def _digest(pixels: torch.Tensor) -> str:
    return digest_arrays(images=pixels.numpy())
