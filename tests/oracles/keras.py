"""Keras layers in plain loops over NHWC arrays, and HDF5 files as Keras 2 writes them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = dict[str, Array]


class Layer(NamedTuple):
    """A layer as Keras describes it, with its weights by their short names, in Keras's order."""

    kind: str
    name: str
    options: dict[str, Any]
    weights: Weights = {}
    inbound: tuple[str, ...] = ()


def write_sequential(path: Path, input_shape: tuple[int | None, ...], layers: list[Layer], **attributes: Any) -> None:
    """A sequential model; ``input_shape`` is (height, width, channels)."""
    entries = [{"class_name": layer.kind, "config": {"name": layer.name, **layer.options}} for layer in layers]
    entries[0]["config"]["batch_input_shape"] = [None, *input_shape]
    _write(path, {"class_name": "Sequential", "config": entries}, layers, attributes)


def write_functional(path: Path, input_shape: tuple[int | None, ...], layers: list[Layer], output: str) -> None:
    """A functional model; the input is called ``input``."""
    entries: list[dict[str, Any]] = [
        {
            "class_name": "InputLayer",
            "name": "input",
            "config": {"name": "input", "batch_input_shape": [None, *input_shape]},
            "inbound_nodes": [],
        }
    ]
    entries += [
        {
            "class_name": layer.kind,
            "name": layer.name,
            "config": {"name": layer.name, **layer.options},
            "inbound_nodes": [[[source, 0, 0, {}] for source in layer.inbound]],
        }
        for layer in layers
    ]
    config = {"name": "model", "layers": entries, "input_layers": [["input", 0, 0]], "output_layers": [[output, 0, 0]]}
    _write(path, {"class_name": "Model", "config": config}, layers, {})


def _write(path: Path, config: dict[str, Any], layers: list[Layer], attributes: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs.update(attributes)
        stored = file.create_group("model_weights")
        for layer in layers:
            group = stored.create_group(layer.name)
            names = [f"{layer.name}/{name}:0" for name in layer.weights]
            group.attrs["weight_names"] = np.array(names, dtype="S")
            for name, array in zip(names, layer.weights.values(), strict=True):
                group.create_dataset(name, data=array.astype(np.float32))


def pads(size: int, kernel: int, stride: int, padding: str, dilation: int = 1) -> tuple[int, int]:
    """First position (not positive) and number of positions of a window along one side."""
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        return 0, (size - reach) // stride + 1
    count = math.ceil(size / stride)
    return -(max((count - 1) * stride + reach - size, 0) // 2), count


def windows(
    image: Array, kernel: Any, strides: Any, padding: str, visit: Callable[[list[tuple[int, int, Array]]], Any]
) -> Array:
    """``visit`` for every window of one image (h, w, c), given what lies inside the image: (row, column, pixel)."""
    top, rows = pads(image.shape[0], kernel[0], strides[0], padding)
    left, columns = pads(image.shape[1], kernel[1], strides[1], padding)
    out = []
    for row in range(rows):
        line = []
        for column in range(columns):
            inside = []
            for i in range(kernel[0]):
                for j in range(kernel[1]):
                    y, x = top + row * strides[0] + i, left + column * strides[1] + j
                    if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
                        inside.append((i, j, image[y, x]))
            line.append(visit(inside))
        out.append(line)
    return np.array(out)


def convolution(image: Array, kernel: Array, bias: Array, strides: Any, padding: str) -> Array:
    """One image (h, w, in) with a kernel (h, w, in, out)."""

    def visit(inside: list[tuple[int, int, Array]]) -> Array:
        total = bias.astype(float).copy()
        for i, j, pixel in inside:
            for channel in range(kernel.shape[2]):
                total += pixel[channel] * kernel[i, j, channel]
        return total

    return windows(image, kernel.shape[:2], strides, padding, visit)


def depthwise(image: Array, kernel: Array, bias: Array, strides: Any, padding: str) -> Array:
    """One image (h, w, in) with a kernel (h, w, in, multiplier); output channel = channel x multiplier + index."""
    channels, multiplier = kernel.shape[2:]

    def visit(inside: list[tuple[int, int, Array]]) -> Array:
        total = bias.astype(float).copy()
        for i, j, pixel in inside:
            for channel in range(channels):
                for index in range(multiplier):
                    total[channel * multiplier + index] += pixel[channel] * kernel[i, j, channel, index]
        return total

    return windows(image, kernel.shape[:2], strides, padding, visit)


def pooling(image: Array, size: Any, strides: Any, padding: str, maximum: bool) -> Array:
    """One image (h, w, c); pixels outside it never count."""

    def visit(inside: list[tuple[int, int, Array]]) -> Array:
        pixels = np.array([pixel for _, _, pixel in inside])
        return pixels.max(axis=0) if maximum else pixels.sum(axis=0) / len(pixels)

    return windows(image, size, strides, padding, visit)


def normalisation(image: Array, weights: Weights, epsilon: float) -> Array:
    """Batch normalisation of the last axis, number by number."""
    out = np.array(image, float)
    for index in np.ndindex(*image.shape):
        c = index[-1]
        scaled = (image[index] - weights["moving_mean"][c]) / math.sqrt(weights["moving_variance"][c] + epsilon)
        gamma, beta = weights.get("gamma"), weights.get("beta")
        out[index] = scaled * (1.0 if gamma is None else gamma[c]) + (0.0 if beta is None else beta[c])
    return out
