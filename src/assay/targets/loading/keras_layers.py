"""Builders of Keras layers from their options and weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from assay.base.errors import LoadError, nearest
from assay.targets.loading.keras_modules import Apply, Convolution, Dense, Normalise, Pooling, activation, pair

Weights = dict[str, Tensor]
Options = dict[str, Any]
Build = Callable[[Options, Weights], nn.Module]
_LAYERS: dict[str, Build] = {}
_IDLE = (
    "InputLayer",
    "Dropout",
    "SpatialDropout2D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
)
"""Kinds that do nothing in evaluation."""


def build_layer(kind: str, options: Options, weights: Weights) -> nn.Module:
    """A layer of a kind. ``weights`` are arrays as Keras keeps them, by their short names.

    Raises:
        LoadError: if the kind is unknown, or lacks weights or has some that it cannot use.
    """
    if kind in ("Sequential", "Functional", "Model"):
        raise LoadError("it is a model inside a model, which cannot be read: export the whole to ONNX or TFLite")
    left = dict(weights)
    try:
        if kind in _WITHOUT_WEIGHTS:
            module = _WITHOUT_WEIGHTS[kind](options)
        elif kind in _LAYERS:
            module = _LAYERS[kind](options, left)
        else:
            raise LoadError(f"layers of this kind cannot be read; {nearest(kind, [*_LAYERS, *_WITHOUT_WEIGHTS])}")
    except KeyError as error:
        raise LoadError(f"{error} is missing") from error
    if left:
        raise LoadError(f"the weights {', '.join(sorted(left))} are not used by this kind of layer")
    return module


def _builds(*kinds: str) -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        _LAYERS.update(dict.fromkeys(kinds, build))
        return build

    return register


def _bias(weights: Weights) -> Tensor | None:
    return weights.pop("bias", None)


def _depthwise(weights: Weights) -> tuple[Tensor, int]:
    """(height, width, in, multiplier) to (in * multiplier, 1, height, width), and ``in``."""
    found = "depthwise_kernel" if "depthwise_kernel" in weights else "kernel"
    kernel = weights.pop(found).permute(2, 3, 0, 1)
    return kernel.flatten(0, 1).unsqueeze(1), kernel.shape[0]


@_builds("Conv2D", "Convolution2D")
def _conv(options: Options, weights: Weights) -> nn.Module:
    kernel = weights.pop("kernel").permute(3, 2, 0, 1)
    convolution = Convolution(kernel, _bias(weights), options, options.get("groups", 1))
    return nn.Sequential(convolution, activation(options.get("activation")))


@_builds("DepthwiseConv2D")
def _depthwise_conv(options: Options, weights: Weights) -> nn.Module:
    kernel, groups = _depthwise(weights)
    return nn.Sequential(Convolution(kernel, _bias(weights), options, groups), activation(options.get("activation")))


@_builds("SeparableConv2D")
def _separable_conv(options: Options, weights: Weights) -> nn.Module:
    kernel, groups = _depthwise(weights)
    pointwise = weights.pop("pointwise_kernel").permute(3, 2, 0, 1)
    return nn.Sequential(
        Convolution(kernel, None, options, groups),
        Convolution(pointwise, _bias(weights), {"strides": 1}),
        activation(options.get("activation")),
    )


@_builds("Dense")
def _dense(options: Options, weights: Weights) -> nn.Module:
    return nn.Sequential(Dense(weights.pop("kernel").T, _bias(weights)), activation(options.get("activation")))


@_builds("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2")
def _batch_norm(options: Options, weights: Weights) -> nn.Module:
    axis = options.get("axis", -1)
    (axis,) = axis if isinstance(axis, (list, tuple)) else (axis,)
    mean, variance = weights.pop("moving_mean"), weights.pop("moving_variance")
    return Normalise(mean, variance, weights.pop("gamma", None), weights.pop("beta", None), options["epsilon"], axis)


@_builds("ReLU")
def _relu(options: Options, weights: Weights) -> nn.Module:
    top = options.get("max_value")
    slope, threshold = options.get("negative_slope") or 0.0, options.get("threshold") or 0.0

    def relu(x: Tensor) -> Tensor:
        kept = torch.where(x >= threshold, x, slope * (x - threshold))
        return kept if top is None else kept.clamp(max=top)

    return Apply(relu)


@_builds("ZeroPadding2D", "Cropping2D")
def _border(options: Options, weights: Weights) -> nn.Module:
    sign, sides = (1, options["padding"]) if "padding" in options else (-1, options["cropping"])
    (top, bottom), (left, right) = (pair(side) for side in pair(sides))
    return nn.ZeroPad2d((sign * left, sign * right, sign * top, sign * bottom))


@_builds("Reshape")
def _reshape(options: Options, weights: Weights) -> nn.Module:
    shape = tuple(options["target_shape"])
    return Apply(lambda x: x.movedim(1, -1).reshape(len(x), *shape).movedim(-1, 1))


@_builds("Concatenate")
def _concatenate(options: Options, weights: Weights) -> nn.Module:
    axis = options.get("axis", -1)

    def concatenate(*x: Tensor) -> Tensor:
        if axis not in (-1, x[0].ndim - 1):
            raise LoadError(f"it joins axis {axis}; only the last axis, the channels, can be read")
        return torch.cat(x, dim=1)

    return Apply(concatenate)


_WITHOUT_WEIGHTS: dict[str, Callable[[Options], nn.Module]] = {
    "Activation": lambda o: activation(o["activation"]),
    "Softmax": lambda o: activation("softmax"),
    "LeakyReLU": lambda o: nn.LeakyReLU(o["negative_slope"] if "negative_slope" in o else o["alpha"]),
    "ELU": lambda o: nn.ELU(float(o.get("alpha", 1.0))),
    "MaxPooling2D": lambda o: Pooling(o, maximum=True),
    "AveragePooling2D": lambda o: Pooling(o, maximum=False),
    "GlobalAveragePooling2D": lambda o: Apply(lambda x: x.mean(dim=(2, 3), keepdim=bool(o.get("keepdims")))),
    "GlobalMaxPooling2D": lambda o: Apply(lambda x: x.amax(dim=(2, 3), keepdim=bool(o.get("keepdims")))),
    "Flatten": lambda o: Apply(lambda x: x.movedim(1, -1).flatten(1)),
    "Rescaling": lambda o: Apply(lambda x: x * o["scale"] + o.get("offset", 0.0)),
    "Add": lambda o: Apply(lambda *x: reduce(torch.add, x)),
    "Subtract": lambda o: Apply(torch.sub),
    "Multiply": lambda o: Apply(lambda *x: reduce(torch.mul, x)),
    "Maximum": lambda o: Apply(lambda *x: reduce(torch.maximum, x)),
    "Average": lambda o: Apply(lambda *x: reduce(torch.add, x) / len(x)),
    **{kind: lambda o: nn.Identity() for kind in _IDLE},
}
