"""What the Open Inference Protocol's metadata and answers say. Pure functions."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from assay.access.remote.address import Address
from assay.access.remote.http import Reply
from assay.access.remote.service import Rows, is_number
from assay.access.serving import OUTPUT_ORDER, Output
from assay.base.digests import digest_json
from assay.base.errors import DataError, UsageError, nearest
from assay.data.images import Shape
from assay.targets.target import Modality

HEADER = "Inference-Header-Content-Length"
"""The length of the JSON, where raw tensors follow it."""

DATATYPES: dict[str, np.dtype[Any]] = {
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "UINT8": np.dtype("<u1"),
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (2, 4, 8)},
}
INPUTS = ("FP16", "FP32", "FP64", "UINT8", "BYTES")
TOLERANCE = 1e-3
"""By how much a row of posteriors may miss a sum of 1."""

Layout = Literal["nchw", "nhwc", "flat", "text"]


class Tensor(NamedTuple):
    """An input as it is sent: numbers, or texts where ``array`` is None."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    array: NDArray[Any] | None
    texts: list[str]


class Answer(NamedTuple):
    """An answer: the request's id and the model's version where the server says them, and the output."""

    id: str | None
    version: str | None
    values: NDArray[Any]


@dataclass(frozen=True)
class Described:
    """A model's metadata. ``width`` is the length of a flat input; ``named``: the classes have names."""

    modality: Modality

    input_name: str
    datatype: str
    layout: Layout
    dimensions: int
    shape: Shape | None
    width: int | None
    output_name: str
    output: Output
    classes: tuple[str, ...]
    named: bool
    version: str | None
    max_batch: int | None
    price_per_1000: float | None
    lasting: str


def read_metadata(content: dict[str, Any], address: Address) -> Described:
    """A model's metadata, as the server gave them.

    Raises:
        UsageError: if an option is needed to understand them.
        DataError: if the model is not one input of images or texts, and one output.
    """
    who, parameters = address.shown, _table(content.get("parameters"))
    given = _tensors(content.get("inputs"), who, "input")
    if len(given) != 1:
        raise DataError(f"{who} takes {len(given)} inputs ({', '.join(given)}); one of images or texts is supported.")
    ((name, (datatype, sides)),) = given.items()
    if datatype not in INPUTS:
        raise DataError(f"{who} takes {datatype}; supported are {', '.join(INPUTS)}.")
    layout, shape = _layout(datatype, sides, who)
    output_name, kind, width = _output(_tensors(content.get("outputs"), who, "output"), address)
    names = tuple(map(str, parameters.get("class_names") or ()))
    if option := address.options.get("classes"):
        names = tuple(each.strip() for each in option.split(","))
    count = len(names) or parameters.get("num_classes") or width
    if not _is_count(count) or count < 2:
        raise UsageError(f"{who} does not say how many classes it tells apart: name them, with ?classes=NAME,NAME.")
    said = [output for output in OUTPUT_ORDER if output == parameters.get("output")]
    output: Output = said[0] if said else "label" if kind.startswith(("INT", "UINT")) else "posteriors"
    versions, price, most = content.get("versions"), parameters.get("price_per_1000"), parameters.get("max_batch")
    lasting = {key: value for key, value in parameters.items() if key not in ("price_per_1000", "max_batch")}
    texts = layout == "text" or parameters.get("modality") == "text"
    return Described(
        modality="text" if texts else "image",
        input_name=name,
        datatype=datatype,
        layout=layout,
        dimensions=len(sides),
        shape=shape,
        width=sides[1] if layout == "flat" and sides[1] > 0 else None,
        output_name=output_name,
        output=output,
        classes=names or tuple(map(str, range(count))),
        named=bool(names),
        version=str(versions[-1]) if isinstance(versions, list) and versions else None,
        max_batch=most if _is_count(most) else None,
        price_per_1000=float(price) if is_number(price) else None,
        lasting=digest_json({**content, "parameters": lasting}),
    )


def _layout(datatype: str, sides: tuple[int, ...], who: str) -> tuple[Layout, Shape | None]:
    if datatype == "BYTES":
        return "text", None
    if len(sides) == 2:
        return "flat", None
    if len(sides) != 4:
        raise DataError(f"{who} takes tensors of the shape {list(sides)}; images have four sides, or two if flat.")
    last = sides[3] in (1, 3) and sides[1] not in (1, 3)
    layout: Layout = "nhwc" if last else "nchw"
    shape = (sides[3], sides[1], sides[2]) if last else (sides[1], sides[2], sides[3])
    return layout, shape if min(shape) > 0 else None


def _output(outputs: dict[str, tuple[str, tuple[int, ...]]], address: Address) -> tuple[str, str, int | None]:
    """The name and datatype of the output to read, and the length of its rows if that is known."""
    wanted = address.options.get("output")
    if wanted is None and len(outputs) != 1:
        raise UsageError(f"{address.shown} has several outputs: say ?output=, one of {', '.join(outputs)}.")
    name = next(iter(outputs)) if wanted is None else wanted
    if name not in outputs:
        raise UsageError(f"{address.shown} has no output {name!r}: {nearest(name, outputs)}")
    datatype, sides = outputs[name]
    if datatype not in DATATYPES:
        raise DataError(f"{address.shown} answers with {datatype} in {name!r}, and numbers are needed.")
    return name, datatype, sides[-1] if len(sides) > 1 and sides[-1] > 0 else None


def _tensors(listed: Any, who: str, what: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Tensors that metadata declare: name to datatype and shape."""
    try:
        found = {
            str(tensor["name"]): (str(tensor["datatype"]), tuple(int(side) for side in tensor["shape"]))
            for tensor in listed or ()
        }
    except (TypeError, KeyError, ValueError):
        raise DataError(f"{who} describes its {what}s in a way that the protocol does not have.") from None
    if not found:
        raise DataError(f"{who} declares no {what}s in its metadata: its owner must, for anybody to ask it.")
    return found


def read_answer(reply: Reply, output: str, who: str) -> Answer:
    """One output of an answer.

    Raises:
        DataError: if it is missing, or not numbers of the shape that it says.
    """
    length = reply.headers.get(HEADER.lower(), "")
    head = Reply(reply.body[: int(length)] if length.isdecimal() else reply.body).json()
    raw = reply.body[int(length) :] if length.isdecimal() else b""
    outputs = head.get("outputs") if isinstance(head, dict) else None
    if not isinstance(outputs, list):
        raise DataError(f"{who} answered without outputs: {json.dumps(head)[:200]}.")
    offset = 0
    for tensor in outputs:
        tensor = _table(tensor)
        size = _table(tensor.get("parameters")).get("binary_data_size")
        if tensor.get("name") != output:
            offset += size if _is_count(size) else 0
            continue
        content = raw[offset : offset + size] if _is_count(size) else tensor.get("data")
        id, version = head.get("id"), head.get("model_version")
        return Answer(id and str(id), version and str(version), _numbers(tensor, content, who))
    raise DataError(f"{who} answered without the output {output!r}.")


def _numbers(tensor: dict[str, Any], content: Any, who: str) -> NDArray[Any]:
    datatype, shape = DATATYPES.get(str(tensor.get("datatype"))), tensor.get("shape")
    if datatype is None or not isinstance(shape, list) or not all(_is_count(side) for side in shape):
        raise DataError(
            f"{who} answered with {tensor.get('datatype')} of the shape {shape}, and numbers of a known shape are "
            "needed."
        )
    try:
        array = np.frombuffer(content, datatype) if isinstance(content, bytes) else np.asarray(content)
    except ValueError:
        raise DataError(f"{who} answered with a tensor whose rows differ in length.") from None
    if array.dtype.kind not in "iuf":
        raise DataError(f"{who} answered with text or other things in place of numbers.")
    if array.size != math.prod(shape):
        raise DataError(f"{who} answered with {array.size} numbers where it says {'x'.join(map(str, shape))}.")
    return array.astype(datatype).reshape(shape)


def check_rows(rows: Rows, who: str) -> None:
    """Nothing, if rows (n, classes) are posteriors.

    Raises:
        DataError: if one is not finite, negative, or does not sum to 1 within `TOLERANCE`.
    """
    if not np.isfinite(rows).all():
        raise DataError(f"{who} answered with NaN or infinity.")
    sums = rows.sum(axis=1, dtype=np.float64)
    if (rows < 0).any() or (np.abs(sums - 1.0) > TOLERANCE).any():
        raise DataError(
            f"{who} answered with rows that are no posteriors (one sums to {sums[np.abs(sums - 1.0).argmax()]:.4g}); "
            "if they are logits, say ?answers=logits."
        )


def labels_to_rows(values: NDArray[Any], count: int, classes: int, who: str) -> Rows:
    """Labels (n,) or (n, 1) as one-hot rows (n, classes).

    Raises:
        DataError: if there are not ``count``, or one is no class.
    """
    if values.size != count:
        raise DataError(f"{who} answered with {values.size} labels to {count} inputs.")
    labels = values.reshape(count)
    if (labels < 0).any() or (labels >= classes).any() or (labels != np.floor(labels)).any():
        raise DataError(f"{who} answered with a label that is none of its classes 0 to {classes - 1}.")
    return np.eye(classes, dtype=np.float32)[labels.astype(np.int64)]


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
