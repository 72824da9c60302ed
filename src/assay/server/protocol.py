"""The Open Inference Protocol, version 2, over HTTP: requests read, answers written. Pure functions.

Tensors are JSON numbers, or follow the JSON as raw little-endian bytes (the binary tensor extension: the header
``Inference-Header-Content-Length`` gives the length of the JSON). One input, `INPUT`: ``UINT8``, or ``FP32`` in
[0, 1], of shape [n, channels, height, width]. One output: ``posteriors`` FP32 [n, classes], or ``label`` INT64 [n].
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.errors import DataError
from assay.data.images import Shape, shape_text, to_pixels
from assay.server.journal import Reply
from assay.server.limits import JSON_BYTES, MEBIBYTE
from assay.server.refusal import Refused

INPUT = "images"
VERSION = "1"
HEADER = "Inference-Header-Content-Length"
DATATYPES: dict[str, np.dtype[Any]] = {"UINT8": np.dtype("u1"), "FP32": np.dtype("<f4")}
OUTPUT_DATATYPES = {"posteriors": "FP32", "label": "INT64"}
ID_CHARACTERS = 256


class Form(NamedTuple):
    """What requests must look like: images (channels, height, width), so many at most, and the output's name."""

    shape: Shape
    batch: int
    output: str


class Asking(NamedTuple):
    """A request: images float32 (n, c, h, w) in [0, 1], its id, and whether the answer is to be binary."""

    pixels: torch.Tensor
    id: str | None
    binary: bool


def parse(body: bytes, header: str | None, form: Form) -> Asking:
    """Read the body of an inference request; ``header`` is `HEADER`'s value, None without it.

    Raises:
        Refused: if anything of it is not as the protocol and the form have it.
    """
    length = _length(header, len(body))
    request = read_json(body[:length])
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise _bad(f"'inputs' must be a list of one tensor, {INPUT!r}.")
    array = _tensor(inputs[0], memoryview(body)[length:], form)
    return Asking(checked(array), checked_id(request.get("id")), _wants_binary(request, form.output))


def read_json(text: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Refused: if it is none, or larger than `JSON_BYTES`.
    """
    if len(text) > JSON_BYTES:
        raise Refused(
            "too_large", f"JSON of more than {JSON_BYTES // MEBIBYTE} MiB is refused: send binary tensors instead."
        )
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _bad(f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise _bad("The body must be a JSON object.")
    return value


def checked(array: NDArray[Any]) -> torch.Tensor:
    """Images as float32 in [0, 1].

    Raises:
        Refused: if pixels are out of range or not finite.
    """
    try:
        return to_pixels(torch.from_numpy(array))
    except DataError as error:
        raise _bad(str(error)) from None


def checked_id(value: Any) -> str | None:
    """A request's id; none, or an empty one, is None.

    Raises:
        Refused: if it is not a text, or too long.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > ID_CHARACTERS:
        raise _bad(f"'id' must be a text of at most {ID_CHARACTERS} characters.")
    return value


def render(reply: Reply, model: str, asking: Asking) -> tuple[bytes, dict[str, str]]:
    """The body and headers of an answer."""
    tensor: dict[str, Any] = {
        "name": reply.output,
        "datatype": OUTPUT_DATATYPES[reply.output],
        "shape": list(reply.values.shape),
    }
    head: dict[str, Any] = {"model_name": model, "model_version": VERSION, "outputs": [tensor]}
    if asking.id is not None:
        head["id"] = asking.id
    if not asking.binary:
        tensor["data"] = reply.values.ravel().tolist()
        return json.dumps(head).encode(), {"Content-Type": "application/json"}
    raw = reply.values.tobytes()
    tensor["parameters"] = {"binary_data_size": len(raw)}
    text = json.dumps(head).encode()
    return text + raw, {"Content-Type": "application/octet-stream", HEADER: str(len(text))}


def _length(header: str | None, size: int) -> int:
    if header is None:
        return size
    if not (header.isascii() and header.isdecimal()) or len(header) > 12 or int(header) > size:
        raise _bad(f"{HEADER} must be the length of the JSON, at most {size} bytes here.")
    return int(header)


def _tensor(tensor: dict[str, Any], raw: memoryview, form: Form) -> NDArray[Any]:
    if tensor.get("name") != INPUT:
        raise _bad(f"The input is called {INPUT!r}, not {tensor.get('name')!r}.")
    datatype = DATATYPES.get(str(tensor.get("datatype")))
    if datatype is None:
        raise _bad(f"{INPUT!r} must be UINT8, or FP32 in [0, 1]; the request says {tensor.get('datatype')!r}.")
    shape = tensor.get("shape")
    wanted = f"[n, {', '.join(map(str, form.shape))}]"
    if not isinstance(shape, list) or any(type(side) is not int for side in shape) or len(shape) != 4:
        raise _bad(f"{INPUT!r} must have the shape {wanted}.")
    if tuple(shape[1:]) != form.shape:
        raise _bad(f"{INPUT!r} must have the shape {wanted}; the request says {shape}.")
    check_count(shape[0], form)
    size = tensor.get("parameters", {})
    size = size.get("binary_data_size") if isinstance(size, dict) else None
    if size is None:
        if len(raw):
            raise _bad("Bytes follow the JSON, and no tensor has a 'binary_data_size'.")
        return _numbers(tensor.get("data"), datatype, shape)
    expected = math.prod(shape) * datatype.itemsize
    if size != expected or len(raw) != expected:
        raise _bad(
            f"A {tensor['datatype']} tensor of {shape_text(shape)} takes {expected} bytes; 'binary_data_size' is "
            f"{size!r}, and {len(raw)} bytes follow the JSON."
        )
    return np.frombuffer(raw, datatype).reshape(shape).copy()


def check_count(count: int, form: Form) -> None:
    """Nothing, if so many images may be asked about in one request.

    Raises:
        Refused: if not.
    """
    if count < 1:
        raise _bad("A request must hold at least one image.")
    if count > form.batch:
        raise Refused("too_large", f"A request may hold {form.batch} images; this one holds {count}.")


def _numbers(data: Any, datatype: np.dtype[Any], shape: list[int]) -> NDArray[Any]:
    if not isinstance(data, list):
        raise _bad(f"{INPUT!r} has neither 'data' (a list of numbers) nor a 'binary_data_size'.")
    try:
        array = np.asarray(data)
    except ValueError:
        raise _bad("'data' is nested unevenly.") from None
    if array.dtype.kind not in ("iu" if datatype.kind == "u" else "iuf"):
        kind = "whole numbers" if datatype.kind == "u" else "numbers"
        raise _bad(f"'data' must be {kind}, and nothing else.")
    if array.size != math.prod(shape):
        raise _bad(f"'data' holds {array.size} numbers; the shape {shape_text(shape)} takes {math.prod(shape)}.")
    if datatype.kind == "u" and (array.min() < 0 or array.max() > 255):
        raise _bad(f"UINT8 numbers lie in 0 to 255; these span {array.min()} to {array.max()}.")
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused as such
        return array.astype(datatype).reshape(shape)


def _wants_binary(request: dict[str, Any], output: str) -> bool:
    wanted = _parameters(request).get("binary_data_output", False) is True
    outputs = request.get("outputs")
    if outputs is None or outputs == []:
        return wanted
    if not isinstance(outputs, list) or len(outputs) != 1 or not isinstance(outputs[0], dict):
        raise _bad(f"'outputs' must be a list of one tensor, {output!r}.")
    if outputs[0].get("name") != output:
        raise _bad(f"This model's output is {output!r}; the request asks for {outputs[0].get('name')!r}.")
    parameters = _parameters(outputs[0])
    if parameters.get("classification"):
        raise _bad("The classification extension is not spoken here; class names are in the model's metadata.")
    return parameters.get("binary_data", wanted) is True


def _parameters(holder: dict[str, Any]) -> dict[str, Any]:
    parameters = holder.get("parameters")
    return parameters if isinstance(parameters, dict) else {}


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _bad(message: str) -> Refused:
    return Refused("bad_request", message)
