"""Keras HDF5 files: a network built from the JSON that describes its layers, and filled with its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from assay.base.errors import LoadError, UnsafeFileError
from assay.targets.loading.extras import require
from assay.targets.loading.keras_config import Graph, Layer, Tensor, parse_graph
from assay.targets.loading.keras_layers import Weights, build_layer


class KerasNetwork(torch.nn.Module):
    """A graph of Keras layers over NCHW images; its output is what the last layer gives."""

    def __init__(self, graph: Graph, modules: dict[str, torch.nn.Module]) -> None:
        super().__init__()
        self.graph = graph
        self.position = {name: str(index) for index, name in enumerate(modules)}
        self.parts = torch.nn.ModuleDict({self.position[name]: module for name, module in modules.items()})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w), preprocessed, to the output (n, classes).

        Raises:
            LoadError: if a layer cannot take what it is applied to; the message names it.
        """
        values: dict[Tensor, torch.Tensor] = {self.graph.input: images}
        for tensor, sources in self.graph.calls.items():
            part = self.parts[self.position[tensor[0]]]
            try:
                values[tensor] = part(*(values[source] for source in sources))
            except (RuntimeError, LoadError, TypeError) as error:
                raise LoadError(f"The layer {tensor[0]!r} cannot be applied: {error}") from error
        return values[self.graph.output]


class KerasFile(NamedTuple):
    """What was read. ``input_shape`` is (channels, height, width), with None where the file leaves a size open."""

    network: KerasNetwork
    input_shape: tuple[int | None, ...]


def read_keras(path: Path) -> KerasFile:
    """The network of a Keras HDF5 file, differentiable; a final softmax is left out, so that it gives logits.

    Raises:
        UnsafeFileError: if the file holds code (a Lambda layer) or points to other files.
        LoadError: if it is damaged, holds weights only, or has layers that Assay does not know.
        UsageError: if h5py is not installed.
    """
    h5py = require("h5py", "keras", "Keras files")
    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
            if config is None:
                raise LoadError(
                    f"{path.name} holds weights without the model_config that says which layers they belong to: save "
                    "the whole model with `model.save('model.h5')`."
                )
            graph = parse_graph(json.loads(config), path.name)
            stored = file["model_weights"]
            modules = {name: _build(graph, graph.layers[name], stored, path.name) for name, _ in graph.calls}
    except (OSError, KeyError, RuntimeError, ValueError, MemoryError) as error:
        raise LoadError(f"{path.name} is a damaged or truncated Keras file: {error}.") from error
    if len(graph.input_shape) != 3:
        raise LoadError(f"{path.name} takes inputs of {len(graph.input_shape)} axes; images have 3.")
    height, width, channels = graph.input_shape
    return KerasFile(KerasNetwork(graph, modules).eval(), (channels, height, width))


def _build(graph: Graph, layer: Layer, stored: Any, file: str) -> torch.nn.Module:
    if layer.kind == "Lambda":
        raise UnsafeFileError(
            f"{file} has a Lambda layer ({layer.name!r}), which is code, and was not opened: rebuild the model with "
            "layers of Keras, or export it to ONNX."
        )
    try:
        kind, options = _logits(layer) if _is_last(graph, layer) else (layer.kind, layer.options)
        return build_layer(kind, options, _weights(stored, layer.name))
    except LoadError as error:
        raise LoadError(f"{file}: the layer {layer.name!r} ({layer.kind}) cannot be read: {error}.") from error


def _is_last(graph: Graph, layer: Layer) -> bool:
    return graph.output[0] == layer.name and all(graph.output not in sources for sources in graph.calls.values())


def _logits(layer: Layer) -> tuple[str, dict[str, Any]]:
    """A last layer's kind and options, without its softmax."""
    if layer.kind == "Softmax":
        return "Activation", {"activation": "linear"}
    last = layer.options.get("activation")
    if last == "sigmoid":
        raise LoadError("it ends in one sigmoid per class; posteriors need one softmax over all classes")
    return layer.kind, {**layer.options, "activation": "linear"} if last == "softmax" else layer.options


def _weights(stored: Any, layer: str) -> Weights:
    if layer not in stored:
        return {}
    group = stored[layer]
    names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["weight_names"]]
    return {name.rpartition("/")[2].partition(":")[0]: _array(group[name], stored) for name in names}


def _array(array: Any, stored: Any) -> torch.Tensor:
    if array.file.filename != stored.file.filename or array.is_virtual or array.external:
        raise UnsafeFileError(
            f"The weight {array.name!r} does not lie in the file, but in another that the file points to."
        )
    return torch.from_numpy(np.asarray(array, np.float32))
