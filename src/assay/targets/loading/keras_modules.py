"""Keras's layers as torch modules over NCHW images, with Keras's padding and axis order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.base.errors import LoadError

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "swish": nn.SiLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softmax": lambda: nn.Softmax(dim=1),
}

Pair = tuple[int, int]


def pair(value: Any) -> Pair:
    """One number for both sides, or one for each."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def optional(weight: Tensor | None) -> nn.Parameter | None:
    """A parameter that a layer may lack."""
    return None if weight is None else nn.Parameter(weight)


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """Pixels before and after one side, so that the output has ceil(size / stride): the odd one goes after."""
    total = max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _padding(options: dict[str, Any]) -> bool:
    if options.get("data_format", "channels_last") != "channels_last":
        raise LoadError("its images are channels first; only channels last can be read")
    if options.get("padding", "valid") not in ("same", "valid"):
        raise LoadError(f"padding {options['padding']!r} is not known")
    return options.get("padding") == "same"


def _pad(images: Tensor, kernel: Pair, stride: Pair, dilation: Pair, value: float = 0.0) -> Tensor:
    top, bottom = same_padding(images.shape[2], kernel[0], stride[0], dilation[0])
    left, right = same_padding(images.shape[3], kernel[1], stride[1], dilation[1])
    return F.pad(images, (left, right, top, bottom), value=value)


def activation(found: Any) -> nn.Module:
    """An activation by the name that Keras gives it.

    Raises:
        LoadError: if it is not one that Assay knows (a function of somebody's own, say).
    """
    name = found["config"] if isinstance(found, dict) else found
    if name is None:
        return nn.Identity()
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise LoadError(f"the activation {name!r} is not known")
    return ACTIVATIONS[name]()


class Convolution(nn.Module):
    """``kernel`` (out, in / groups, height, width) over images (n, in, h, w)."""

    def __init__(self, kernel: Tensor, bias: Tensor | None, options: dict[str, Any], groups: int = 1) -> None:
        super().__init__()
        self.kernel = nn.Parameter(kernel)
        self.bias = optional(bias)
        self.same = _padding(options)
        self.stride, self.dilation = pair(options["strides"]), pair(options.get("dilation_rate", 1))
        self.groups = groups

    def forward(self, images: Tensor) -> Tensor:
        """Filtered images."""
        if self.same:
            height, width = self.kernel.shape[2:]
            images = _pad(images, (height, width), self.stride, self.dilation)
        return F.conv2d(images, self.kernel, self.bias, self.stride, 0, self.dilation, self.groups)


class Pooling(nn.Module):
    """Maximum or average over windows; padding never counts as a pixel."""

    def __init__(self, options: dict[str, Any], maximum: bool) -> None:
        super().__init__()
        self.size = pair(options["pool_size"])
        self.stride = pair(options.get("strides") or self.size)
        self.same, self.maximum = _padding(options), maximum

    def forward(self, images: Tensor) -> Tensor:
        """Pooled images."""
        if self.maximum:
            if self.same:
                images = _pad(images, self.size, self.stride, (1, 1), -math.inf)
            return F.max_pool2d(images, self.size, self.stride)
        if not self.same:
            return F.avg_pool2d(images, self.size, self.stride)
        counted = torch.ones_like(images[:1, :1])
        sums, counts = (
            F.avg_pool2d(_pad(x, self.size, self.stride, (1, 1)), self.size, self.stride) for x in (images, counted)
        )
        return sums / counts


class Dense(nn.Module):
    """``kernel`` (out, in) over the last axis, which is axis 1 of an NCHW tensor."""

    def __init__(self, kernel: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.kernel = nn.Parameter(kernel)
        self.bias = optional(bias)

    def forward(self, features: Tensor) -> Tensor:
        """Features of another width."""
        return F.linear(features.movedim(1, -1), self.kernel, self.bias).movedim(-1, 1)


class Normalise(nn.Module):
    """Batch normalisation with the moving averages."""

    mean: Tensor
    variance: Tensor

    def __init__(
        self, mean: Tensor, variance: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float, axis: int
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("variance", variance)
        self.gamma, self.beta = optional(gamma), optional(beta)
        self.epsilon, self.axis = epsilon, axis

    def forward(self, features: Tensor) -> Tensor:
        """Normalised features."""
        if self.axis not in (-1, features.ndim - 1):
            raise LoadError(f"it normalises axis {self.axis}; only the last axis, the channels, can be read")
        return F.batch_norm(features, self.mean, self.variance, self.gamma, self.beta, eps=self.epsilon)


class Apply(nn.Module):
    """A function without weights, of one or several tensors."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: Tensor) -> Tensor:
        """The function's value."""
        return self.function(*tensors)
