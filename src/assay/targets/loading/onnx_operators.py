"""ONNX operators in torch, with gradients: each means what the ONNX operator specification says.

Quantised tensors (QuantizeLinear, DequantizeLinear) are real values that lie on their grid; gradients pass straight
through the rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.base.errors import LoadError
from assay.targets.grid import on_grid
from assay.targets.loading.keras_modules import same_padding


class Node(NamedTuple):
    """One operator at work.

    ``opset`` is the version of the specification, which some operators changed with. ``batch`` is the number of images
    that the file was written for, 0 if it takes any.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int
    batch: int

    def pair(self, name: str) -> tuple[int, int]:
        """Strides or dilations of height and width; 1 if they are not given."""
        first, second = self.attributes.get(name, (1, 1))
        return int(first), int(second)

    def integers(self, name: str, given: Tensor | None) -> list[int] | None:
        """Whole numbers that older versions hold as an attribute, and newer ones as an input; None without."""
        if name in self.attributes:
            return [int(number) for number in self.attributes[name]]
        return None if given is None else [int(number) for number in given.flatten().tolist()]


Operation = Callable[..., Tensor | tuple[Tensor, ...]]
OPERATIONS: dict[str, Operation] = {}
"""By the names of the specification: from a node and its inputs, None where one is left out, to what it makes."""


def operation(*kinds: str) -> Callable[[Operation], Operation]:
    """Register a function for the operators of these names."""

    def register(function: Operation) -> Operation:
        OPERATIONS.update(dict.fromkeys(kinds, function))
        return function

    return register


def _sides(node: Node, images: Tensor, kernel: Sequence[int]) -> list[int]:
    """Padding of height and width as `torch.nn.functional.pad` takes it: left, right, top, bottom."""
    if images.ndim != 4:
        raise LoadError(f"the operator {node.kind} on {images.ndim - 2} axes: no gradient")
    kind = node.attributes.get("auto_pad", b"NOTSET").decode()
    if kind in ("NOTSET", "VALID"):
        top, left, bottom, right = node.attributes.get("pads", (0, 0, 0, 0)) if kind == "NOTSET" else (0, 0, 0, 0)
        return [left, right, top, bottom]
    strides, dilations = node.pair("strides"), node.pair("dilations")
    both = [same_padding(images.shape[2 + i], kernel[i], strides[i], dilations[i]) for i in (0, 1)]
    (top, bottom), (left, right) = [pair[::-1] if kind == "SAME_LOWER" else pair for pair in both]
    return [left, right, top, bottom]


@operation("Conv")
def _convolve(node: Node, images: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    sides = _sides(node, images, kernel.shape[2:])
    even = sides[0] == sides[1] and sides[2] == sides[3]
    return F.conv2d(
        images if even else F.pad(images, sides),
        kernel,
        bias,
        stride=node.pair("strides"),
        padding=(sides[2], sides[0]) if even else 0,
        dilation=node.pair("dilations"),
        groups=node.attributes.get("group", 1),
    )


@operation("Gemm")
def _gemm(node: Node, rows: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    alpha, beta = node.attributes.get("alpha", 1.0), node.attributes.get("beta", 1.0)
    rows = rows.t() if node.attributes.get("transA") else rows
    kernel = kernel if node.attributes.get("transB") else kernel.t()
    rows = rows if alpha == 1.0 else alpha * rows
    if bias is None or bias.numel() == len(kernel):
        return F.linear(rows, kernel, None if bias is None else beta * bias.flatten())
    made: Tensor = F.linear(rows, kernel) + beta * bias
    return made


@operation("MatMul")
def _product(node: Node, first: Tensor, second: Tensor) -> Tensor:
    return F.linear(first, second.t()) if second.ndim == 2 else first @ second


@operation("BatchNormalization")
def _normalise(node: Node, images: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return F.batch_norm(images, mean, variance, weight, bias, eps=node.attributes.get("epsilon", 1e-5))


@operation("LayerNormalization")
def _layer_norm(node: Node, values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    axis = node.attributes.get("axis", -1) % values.ndim
    return F.layer_norm(values, values.shape[axis:], weight, bias, node.attributes.get("epsilon", 1e-5))


@operation("InstanceNormalization")
def _instance_norm(node: Node, values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(values, weight=weight, bias=bias, eps=node.attributes.get("epsilon", 1e-5))


@operation("MaxPool")
def _maximum(node: Node, images: Tensor) -> Tensor:
    kernel, ceil = tuple(node.attributes["kernel_shape"]), bool(node.attributes.get("ceil_mode", 0))
    padded = F.pad(images, _sides(node, images, kernel), value=float("-inf"))
    return F.max_pool2d(padded, kernel, node.pair("strides"), 0, node.pair("dilations"), ceil)


@operation("AveragePool")
def _average(node: Node, images: Tensor) -> Tensor:
    kernel, ceil = tuple(node.attributes["kernel_shape"]), bool(node.attributes.get("ceil_mode", 0))
    sides = _sides(node, images, kernel)
    total = partial(F.avg_pool2d, kernel_size=kernel, stride=node.pair("strides"), ceil_mode=ceil, divisor_override=1)
    counted = float(node.attributes.get("count_include_pad", 0))
    number: Tensor = total(F.pad(torch.ones_like(images[:1, :1]), sides, value=counted))
    return total(F.pad(images, sides)) / number


@operation("GlobalAveragePool")
def _global_average(node: Node, images: Tensor) -> Tensor:
    return images.mean(dim=tuple(range(2, images.ndim)), keepdim=True)


@operation("GlobalMaxPool")
def _global_maximum(node: Node, images: Tensor) -> Tensor:
    return images.amax(dim=tuple(range(2, images.ndim)), keepdim=True)


_REDUCED: dict[str, Callable[..., Tensor]] = {
    "ReduceMean": torch.mean,
    "ReduceSum": torch.sum,
    "ReduceMax": torch.amax,
    "ReduceMin": torch.amin,
    "ReduceL2": partial(torch.linalg.vector_norm, ord=2),
}


@operation(*_REDUCED)
def _reduce(node: Node, values: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = node.integers("axes", axes)
    if chosen is None and node.attributes.get("noop_with_empty_axes"):
        return values
    dims = tuple(range(values.ndim)) if chosen is None else tuple(chosen)
    return _REDUCED[node.kind](values, dim=dims, keepdim=bool(node.attributes.get("keepdims", 1)))


@operation("QuantizeLinear")
def _quantise(node: Node, values: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    limits = torch.iinfo(torch.uint8 if zero is None else zero.dtype)
    shown = partial(_along, axis=node.attributes.get("axis", 1), axes=values.ndim)
    start = torch.zeros(()) if zero is None else zero.float()
    return on_grid(values, shown(scale), shown(start), limits.min, limits.max, half_to_even=True)


@operation("DequantizeLinear")
def _dequantise(node: Node, values: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    if values.is_floating_point():
        return values  # it came from QuantizeLinear, and is a real number on the grid already
    shown = partial(_along, axis=node.attributes.get("axis", 1), axes=values.ndim)
    real = values.float() if zero is None else values.float() - shown(zero.float())
    return real * shown(scale)


def _along(numbers: Tensor, axis: int, axes: int) -> Tensor:
    if numbers.numel() == 1:
        return numbers.reshape(())
    return numbers.reshape([-1 if place == axis % axes else 1 for place in range(axes)])


@operation("Clip")
def _clip(node: Node, values: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    least = node.attributes.get("min") if low is None else float(low)
    most = node.attributes.get("max") if high is None else float(high)
    return values if least is None and most is None else values.clamp(least, most)


@operation("Softmax", "LogSoftmax")
def _softmax(node: Node, values: Tensor) -> Tensor:
    function = F.softmax if node.kind == "Softmax" else F.log_softmax
    if node.opset >= 13:
        return function(values, dim=node.attributes.get("axis", -1))
    axis = node.attributes.get("axis", 1) % values.ndim  # everything from this axis on is one row
    return function(values.flatten(axis), dim=-1).reshape(values.shape)


@operation("Gelu")
def _gelu(node: Node, values: Tensor) -> Tensor:
    return F.gelu(values, approximate=node.attributes.get("approximate", b"none").decode())


@operation("LeakyRelu")
def _leaky_relu(node: Node, values: Tensor) -> Tensor:
    return F.leaky_relu(values, node.attributes.get("alpha", 0.01))


@operation("Elu")
def _elu(node: Node, values: Tensor) -> Tensor:
    return F.elu(values, node.attributes.get("alpha", 1.0))


@operation("HardSigmoid")
def _hard_sigmoid(node: Node, values: Tensor) -> Tensor:
    alpha, beta = float(node.attributes.get("alpha", 0.2)), float(node.attributes.get("beta", 0.5))
    return (alpha * values + beta).clamp(0.0, 1.0)


def _divided(first: Tensor, second: Tensor) -> Tensor:
    whole = not (first.is_floating_point() or second.is_floating_point())
    return torch.div(first, second, rounding_mode="trunc" if whole else None)


_PLAIN: dict[str, Callable[..., Tensor]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": _divided,
    "Mod": torch.remainder,
    "Pow": torch.pow,
    "Min": torch.minimum,
    "Max": torch.maximum,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "Less": torch.lt,
    "And": torch.logical_and,
    "Or": torch.logical_or,
    "Not": torch.logical_not,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Exp": torch.exp,
    "Log": torch.log,
    "Sqrt": torch.sqrt,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Reciprocal": torch.reciprocal,
    "Neg": torch.neg,
    "Abs": torch.abs,
    "Erf": torch.erf,
    "Softplus": F.softplus,
    "HardSwish": F.hardswish,
    "Mish": F.mish,
    "Selu": F.selu,
    "PRelu": lambda values, slope: torch.where(values < 0, values * slope, values),
    "Where": lambda chosen, first, second: torch.where(chosen.bool(), first, second),
}


@operation(*_PLAIN)
def _plain(node: Node, *given: Tensor) -> Tensor:
    return _PLAIN[node.kind](*given)
