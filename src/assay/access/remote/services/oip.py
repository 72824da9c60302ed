"""The Open Inference Protocol, version 2, over HTTP: KServe, Triton, MLServer, and ``assay serve``."""

from __future__ import annotations

import json
import os
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import numpy as np
import torch
from typing_extensions import override

from assay.access.remote import protocol
from assay.access.remote.address import PROTOCOL, Address
from assay.access.remote.failures import ChangedError
from assay.access.remote.http import Call, Reply
from assay.access.remote.inputs import text, to_bytes
from assay.access.remote.protocol import HEADER, Described, Tensor
from assay.access.remote.service import SERVICES, HttpService, Rows
from assay.base.errors import DataError, UsageError
from assay.targets.target import Modality

KEY = "ASSAY_API_KEY"
OURS = "assay"
"""What ``assay serve`` calls itself: it never charges a request's id twice."""


@SERVICES.add(PROTOCOL)
class OpenInference(HttpService):
    """A model behind the protocol; its metadata give input, output and, from our own server, classes and price."""

    scheme: ClassVar[str] = PROTOCOL
    title: ClassVar[str] = "Open Inference Protocol"
    example: ClassVar[str] = "http://HOST:PORT/v2/models/NAME"
    credentials: ClassVar[tuple[str, ...]] = (KEY,)
    modality: ClassVar[Literal["image", "text", "any"]] = "any"
    options: ClassVar[dict[str, str]] = {
        "batch": "images in a request",
        "output": "the name of the output to read, where the model has several",
        "answers": "logits, if these are what the output holds",
        "scale": "what a white pixel is for an input of floats [1]",
    }

    batch = 256
    concurrency = 2

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        parts = urlsplit(address.place)
        self._root = f"{parts.scheme}://{parts.netloc}"
        path, _, model = parts.path.partition("/v2/models/")
        if parts.path and not model:
            raise UsageError(f"{address.shown} is not understood: write {self.example}, or http://HOST:PORT.")
        self._root += path
        self._model = f"/v2/models/{model}"
        self._described: Described | None = None
        self._binary = False
        self.batch = self.number("batch", self.batch)
        if address.options.get("answers", "posteriors") not in ("logits", "posteriors"):
            raise UsageError(f"{address.shown}: answers must be logits or posteriors.")
        try:
            self._scale = float(address.options.get("scale", "1"))
        except ValueError:
            raise UsageError(f"{address.shown}: scale must be a number.") from None

    @property
    @override
    def url(self) -> str:
        return self._root

    def secrets(self) -> dict[str, str]:
        """The key, where the environment has one."""
        key = os.environ.get(KEY, "").strip()
        return {"Authorization": f"Bearer {key}"} if key else {}

    @property
    def described(self) -> Any:
        """The metadata, without what answers do not depend on."""
        return None if self._described is None else self._described.lasting

    @property
    def known(self) -> Described:
        """What the metadata say; `connect` comes first."""
        assert self._described is not None, "connect() was called"
        return self._described

    @property
    @override
    def reads(self) -> Modality:
        return self.known.modality

    def connect(self) -> None:
        """Read the server's and the model's metadata.

        Raises:
            AssayError: if there is no such model, or it is not one image or text in, one answer out.
        """
        server = self._get("/v2")
        if self._model == "/v2/models/":
            self._model += self._only_model()
        described = protocol.read_metadata(self._get(self._model), self.address)
        self._described, self._binary = described, "binary_tensor_data" in (server.get("extensions") or [])
        self.idempotent = server.get("name") == OURS
        self.batch = min(self.batch, described.max_batch or self.batch)
        self.price_per_1000, self.shape = described.price_per_1000, described.shape
        self.output = described.output
        if self.address.options.get("answers") == "logits":
            self.kind = "logits"
        elif described.output != "posteriors":
            self.kind = described.output
        self.classes = described.classes

    def same(self) -> None:
        """Read the metadata again, after a break."""
        now = protocol.read_metadata(self._get(self._model), self.address)
        if now.lasting != self.known.lasting:
            raise ChangedError(self.address.shown, "its metadata changed")

    def _get(self, path: str) -> dict[str, Any]:
        content = self.line.send(Call("GET", path)).json()
        if not isinstance(content, dict):
            raise DataError(f"{self._root}{path} does not speak the Open Inference Protocol: it answers {content!r}.")
        return content

    def _only_model(self) -> str:
        listed = self.line.send(Call.post_json("/v2/repository/index", {})).json()
        names = sorted({entry["name"] for entry in listed if isinstance(entry, dict) and "name" in entry})
        if len(names) != 1:
            raise UsageError(
                f"{self._root} serves {len(names)} models: name one, as {self._root}/v2/models/NAME"
                + (f" ({', '.join(names)})." if names else ".")
            )
        return str(names[0])

    @override
    def build(self, id: str, inputs: torch.Tensor) -> Call:
        tensor = self._tensor(inputs)
        wanted: dict[str, Any] = {"name": self.known.output_name}
        raw = b""
        entry: dict[str, Any] = {"name": tensor.name, "shape": list(tensor.shape), "datatype": tensor.datatype}
        headers = {"Content-Type": "application/json"}
        if self._binary:
            wanted["parameters"] = {"binary_data": True}
        if self._binary and tensor.array is not None:
            raw = np.ascontiguousarray(tensor.array).tobytes()
            entry["parameters"] = {"binary_data_size": len(raw)}
            headers["Content-Type"] = "application/octet-stream"
        else:
            entry["data"] = tensor.texts if tensor.array is None else tensor.array.ravel().tolist()
        head = json.dumps({"id": id, "inputs": [entry], "outputs": [wanted]}).encode()
        if raw:
            headers[HEADER] = str(len(head))
        return Call("POST", f"{self._model}/infer", head + raw, headers)

    def _tensor(self, inputs: torch.Tensor) -> Tensor:
        known, count = self.known, len(inputs)
        if known.datatype == "BYTES":
            shape = (count,) if known.dimensions == 1 else (count, 1)
            return Tensor(known.input_name, shape, "BYTES", None, [text(row) for row in inputs])
        array = to_bytes(inputs) if known.datatype == "UINT8" else inputs.numpy() * np.float32(self._scale)
        if known.layout == "nhwc":
            array = array.transpose(0, 2, 3, 1)
        elif known.layout == "flat":
            array = array.reshape(count, -1)
            if known.width not in (None, array.shape[1]):
                raise DataError(f"{self.address.shown} takes rows of {known.width}; the data have {array.shape[1]}.")
        array = array.astype(protocol.DATATYPES[known.datatype])
        return Tensor(known.input_name, array.shape, known.datatype, array, [])

    @override
    def parse(self, reply: Reply, id: str, count: int) -> Rows:
        answer = protocol.read_answer(reply, self.known.output_name, self.address.shown)
        if answer.id not in (None, "", id):
            raise DataError(f"{self.address.shown} answered another request: {answer.id} in place of {id}.")
        version = self.known.version
        if answer.version and version and answer.version != version:
            raise ChangedError(self.address.shown, f"version {answer.version} answered in place of {version}")
        values, classes = answer.values, len(self.classes)
        if self.output == "label":
            return protocol.labels_to_rows(values, count, classes, self.address.shown)
        if values.size != count * classes:
            raise DataError(
                f"{self.address.shown} answered with {'x'.join(map(str, values.shape))} numbers to {count} inputs; "
                f"{classes} classes were expected."
            )
        rows = values.reshape(count, classes).astype(np.float32)
        if self.kind != "logits":
            protocol.check_rows(rows, self.address.shown)
        return rows

    def settle(self, names: tuple[str, ...]) -> None:
        """The data's names for classes that the server only counts."""
        if not self.known.named and len(names) == len(self.classes):
            self.classes = names
