"""A service on a free port of the loopback, in a thread, and what speaks to it."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from numpy.typing import NDArray

from assay.access import Serving
from assay.server.keys import KeyFile
from assay.server.log import Log
from assay.server.running import bind, configured
from assay.server.service import Service
from assay.targets.target import Target

SHAPE, CLASSES, NAMES = (3, 4, 4), 3, ("cat", "dog", "owl")
MODEL = "/v2/models/zoo/animals"


@dataclass
class Model:
    """Posteriors are the channels' means, normalised; counts what it computes, and waits where it is told to."""

    computed: int = 0
    go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.go.set()

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        self.go.wait(20)
        self.computed += len(images)
        means = images.mean(axis=(2, 3)) + 0.01
        return (means / means.sum(axis=1, keepdims=True)).astype(np.float32)

    def target(self) -> Target:
        return Target.from_function(
            self, digest="animals-1", input_shape=SHAPE, num_classes=CLASSES, name="zoo/animals", class_names=NAMES
        )


@dataclass
class Served:
    """A running service; ``http`` has no key."""

    url: str
    service: Service
    model: Model
    keys: KeyFile
    log: io.StringIO
    http: httpx.Client

    def infer(self, images: NDArray[Any], id: str | None = None, token: str | None = None) -> httpx.Response:
        """Ask with binary tensors."""
        head, raw = binary(images, id)
        headers = bearer(token) | {"Inference-Header-Content-Length": str(len(head))}
        return self.http.post(f"{MODEL}/infer", content=head + raw, headers=headers)

    def usage(self, token: str | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"{MODEL}/usage", headers=bearer(token)).json()
        return answer

    def lines(self) -> list[dict[str, Any]]:
        """The log."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def binary(images: NDArray[Any], id: str | None = None) -> tuple[bytes, bytes]:
    """JSON and bytes of a request with a binary tensor; the answer is JSON."""
    raw, datatype = images.tobytes(), "UINT8" if images.dtype == np.uint8 else "FP32"
    tensor = {"name": "images", "datatype": datatype, "shape": list(images.shape)}
    request: dict[str, Any] = {"inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}]}
    return json.dumps(request if id is None else request | {"id": id}).encode(), raw


def posteriors(response: httpx.Response) -> NDArray[np.float32]:
    """Of a JSON answer."""
    assert response.status_code == 200, response.text
    (tensor,) = response.json()["outputs"]
    return np.array(tensor["data"], np.float32).reshape(tensor["shape"])


def some_images(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((count, *SHAPE), dtype=np.float32)


@contextmanager
def served(
    folder: Path,
    *,
    with_keys: bool = False,
    serving: Serving | None = None,
    target: Target | None = None,
    **options: Any,
) -> Iterator[Served]:
    """Serve `Model`, or another target, until the block ends."""
    model, log, keys = Model(), io.StringIO(), KeyFile(folder / "keys.json")
    if with_keys and not keys.exists():
        keys.add("first")
    service = Service(target or model.target(), serving or Serving(), folder, keys=keys, log=Log(log), **options)
    listener = bind("127.0.0.1", 0, exposed=False)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(configured(service))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        with httpx.Client(base_url=url, timeout=30) as http:
            yield Served(url, service, model, keys, log, http)
    finally:
        model.go.set()
        server.should_exit = True
        thread.join()
        service.close()
