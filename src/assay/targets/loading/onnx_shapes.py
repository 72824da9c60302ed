"""ONNX operators that arrange numbers, and make them: shapes, slices, constants. See `onnx_operators`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from assay.base.errors import LoadError
from assay.targets.loading.extras import require
from assay.targets.loading.onnx_operators import Node, operation

_MOST = 1e8
"""The most numbers that a file may have a tensor filled with."""


def stored(tensor: Any) -> Tensor:
    """The numbers of an ONNX tensor; of all precisions of real numbers, float32 is made."""
    numbers = require("onnx.numpy_helper", "onnx", "gradients through ONNX files").to_array(tensor)
    if np.issubdtype(numbers.dtype, np.floating):
        numbers = numbers.astype(np.float32)
    return torch.from_numpy(np.array(numbers))


def _whole(numbers: Tensor) -> list[int]:
    return [int(number) for number in numbers.flatten().tolist()]


@operation("Identity", "Dropout")
def _same(node: Node, values: Tensor, *_: Tensor | None) -> Tensor:
    return values


@operation("Reshape")
def _reshape(node: Node, values: Tensor, shape: Tensor) -> Tensor:
    sizes = _whole(shape)
    if not node.attributes.get("allowzero"):
        sizes = [values.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    if node.batch and sizes[:1] == [node.batch] and values.ndim and values.shape[0] != node.batch:
        sizes[0] = values.shape[0]  # the file was written for batches of one size
    return torch.reshape(values, sizes)


@operation("Flatten")
def _flatten(node: Node, values: Tensor) -> Tensor:
    axis = node.attributes.get("axis", 1) % (values.ndim + 1)
    return values.reshape(math.prod(values.shape[:axis]), -1)


@operation("Transpose")
def _transpose(node: Node, values: Tensor) -> Tensor:
    return values.permute(tuple(node.attributes.get("perm", range(values.ndim)[::-1])))


@operation("Squeeze")
def _squeeze(node: Node, values: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = node.integers("axes", axes)
    return values.squeeze() if chosen is None else values.squeeze(tuple(chosen))


@operation("Unsqueeze")
def _unsqueeze(node: Node, values: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = node.integers("axes", axes) or []
    for axis in sorted(axis % (values.ndim + len(chosen)) for axis in chosen):
        values = values.unsqueeze(axis)
    return values


@operation("Concat")
def _concatenate(node: Node, *values: Tensor) -> Tensor:
    return torch.cat(values, dim=node.attributes["axis"])


@operation("Split")
def _split(node: Node, values: Tensor, split: Tensor | None = None) -> tuple[Tensor, ...]:
    axis, sizes = node.attributes.get("axis", 0), node.integers("split", split)
    if sizes is None:
        sizes = [-(-values.shape[axis] // len(node.outputs))] * len(node.outputs)
        sizes[-1] = values.shape[axis] - sum(sizes[:-1])
    return tuple(torch.split(values, sizes, dim=axis))


@operation("Slice")
def _slice(
    node: Node,
    values: Tensor,
    starts: Tensor | None = None,
    ends: Tensor | None = None,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    first, last = node.integers("starts", starts) or [], node.integers("ends", ends) or []
    along = node.integers("axes", axes) or list(range(len(first)))
    by = node.integers("steps", steps) or [1] * len(first)
    for start, end, axis, step in zip(first, last, along, by, strict=True):
        places = range(values.shape[axis])[slice(start, end if end > -(2**31) else None, step)]
        values = values.index_select(axis, torch.tensor(list(places), dtype=torch.int64, device=values.device))
    return values


@operation("Gather")
def _gather(node: Node, values: Tensor, places: Tensor) -> Tensor:
    axis = node.attributes.get("axis", 0) % values.ndim
    chosen = values.index_select(axis, (places.long() % values.shape[axis]).flatten())
    return chosen.reshape([*values.shape[:axis], *places.shape, *values.shape[axis + 1 :]])


@operation("Shape")
def _shape(node: Node, values: Tensor) -> Tensor:
    part = slice(node.attributes.get("start", 0), node.attributes.get("end"))
    return torch.tensor(values.shape[part], dtype=torch.int64)


@operation("ConstantOfShape")
def _filled(node: Node, shape: Tensor) -> Tensor:
    value = stored(node.attributes["value"]).flatten()[0] if "value" in node.attributes else torch.zeros(())
    return value.expand(_bounded(node, _whole(shape))).clone()


@operation("Expand")
def _expand(node: Node, values: Tensor, shape: Tensor) -> Tensor:
    sizes = np.broadcast_shapes(tuple(values.shape), tuple(_whole(shape)))
    return values.expand(_bounded(node, list(sizes)))


@operation("Tile")
def _tile(node: Node, values: Tensor, repeats: Tensor) -> Tensor:
    times = _whole(repeats)
    _bounded(node, [size * many for size, many in zip(values.shape, times, strict=True)])
    return values.repeat(times)


@operation("Range")
def _range(node: Node, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    _bounded(node, [max(0, math.ceil((limit.item() - start.item()) / delta.item()))])
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def _bounded(node: Node, sizes: list[int]) -> list[int]:
    if math.prod(sizes) > _MOST:
        raise LoadError(f"the operator {node.kind} makes a tensor of {math.prod(sizes):,} numbers")
    return sizes


@operation("Cast")
def _cast(node: Node, values: Tensor) -> Tensor:
    wanted = require("onnx.helper", "onnx", "gradients through ONNX files")
    kind = wanted.tensor_dtype_to_np_dtype(node.attributes["to"])
    if np.issubdtype(kind, np.floating):
        return values.float()  # half precision is the runtime's own affair
    return values.bool() if kind == np.bool_ else values.long()


@operation("Pad")
def _pad(
    node: Node, values: Tensor, pads: Tensor | None = None, filler: Tensor | None = None, axes: Tensor | None = None
) -> Tensor:
    sides = node.integers("pads", pads) or []
    chosen = node.integers("axes", axes) or list(range(values.ndim))
    pairs = {axis % values.ndim: (sides[i], sides[i + len(chosen)]) for i, axis in enumerate(chosen)}
    spread = [side for axis in range(values.ndim)[::-1] for side in pairs.get(axis, (0, 0))]
    mode = node.attributes.get("mode", b"constant").decode()
    if mode == "constant":
        return F.pad(values, spread, value=node.attributes.get("value", 0.0) if filler is None else float(filler))
    while spread and spread[-2:] == [0, 0]:
        spread = spread[:-2]
    return F.pad(values, spread, mode={"edge": "replicate"}.get(mode, mode))


@operation("Constant")
def _constant(node: Node) -> Tensor:
    ((name, value),) = node.attributes.items()
    return stored(value) if name == "value" else torch.tensor(value)
