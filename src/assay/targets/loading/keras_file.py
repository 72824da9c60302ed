"""Keras files (HDF5 and ``.keras``): a network built from the JSON that describes it, filled with its weights."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch

from assay.base.errors import LoadError, UnsafeFileError, UsageError, nearest
from assay.base.frozen import Frozen
from assay.targets.loading.extras import require
from assay.targets.loading.keras_config import Graph, Layer, Tensor, parse_graph
from assay.targets.loading.keras_layers import build_layer
from assay.targets.loading.keras_weights import Read, weights_of

_ARCHIVED = ("config.json", "model.weights.h5")
_MOST_UNPACKED = 20
"""How many times its own size an archive may unpack to; weights hardly compress."""


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


class Rescale(Frozen):
    """What a Lambda layer is replaced by: ``x * scale + offset``."""

    scale: float = 1.0
    offset: float = 0.0


Replacements = Mapping[str, Literal["identity"] | Rescale]
"""What stands in for Lambda layers, by their names."""


class KerasFile(NamedTuple):
    """What was read.

    ``input_shape`` is (channels, height, width), with None where the file leaves a size open; ``external`` is the file
    beside it that describes the layers, if that is not in the file itself.
    """

    network: KerasNetwork
    input_shape: tuple[int | None, ...]
    external: tuple[Path, ...] = ()


def read_keras(path: Path, replaced: Replacements = MappingProxyType({})) -> KerasFile:
    """The network of a Keras file, differentiable; a final softmax is left out, so that it gives logits.

    The file is a ``.keras`` archive, an HDF5 file of a whole model, or one of weights alone with the model's JSON
    beside it: ``NAME.json``, ``model.json`` or ``config.json``.

    Raises:
        UnsafeFileError: if the file holds code (a Lambda layer that ``replaced`` does not name) or points to other
            files.
        LoadError: if it is damaged, holds weights only, or has layers that Assay does not know.
        UsageError: if h5py is not installed, or ``replaced`` names a layer that is no Lambda.
    """
    h5py = require("h5py", "keras", "Keras files")
    try:
        if zipfile.is_zipfile(path):
            config, content = _unpacked(path)
            with h5py.File(io.BytesIO(content), "r") as file:
                return _read(file, json.loads(config), path, replaced)
        with h5py.File(path, "r") as file:
            stored = file.attrs.get("model_config")
            if stored is not None:
                return _read(file, json.loads(stored), path, replaced)
            beside = _description(path)
            return _read(file, json.loads(beside.read_text("utf-8")), path, replaced)._replace(external=(beside,))
    except (OSError, KeyError, RuntimeError, ValueError, MemoryError, zipfile.BadZipFile) as error:
        raise LoadError(f"{path.name} is a damaged or truncated Keras file: {error}.") from error


def _unpacked(path: Path) -> tuple[bytes, bytes]:
    """Configuration and weights of an archive."""
    with zipfile.ZipFile(path) as archive:
        size = sum(archive.getinfo(name).file_size for name in _ARCHIVED)
        if size > _MOST_UNPACKED * path.stat().st_size + 2**20:
            raise LoadError(f"{path.name} would unpack to {size >> 20} MiB, far more than its own size; refused.")
        config, weights = (archive.read(name) for name in _ARCHIVED)
    return config, weights


def _description(path: Path) -> Path:
    """The JSON file that describes the layers of a file of weights."""
    stem = path.name.removesuffix(path.suffix)
    names = dict.fromkeys((f"{stem}.json", f"{stem.removesuffix('.weights')}.json", "model.json", "config.json"))
    found = next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
    if found is None:
        raise LoadError(
            f"{path.name} holds weights without the layers that they belong to: put the model's JSON beside it as "
            f"{next(iter(names))} (`model.to_json()`), or save the whole model with `model.save('model.keras')`."
        )
    return found


def _read(file: Any, config: Any, path: Path, replaced: Replacements) -> KerasFile:
    graph = parse_graph(config, path.name)
    lambdas = {layer.name for layer in graph.layers.values() if layer.kind == "Lambda"}
    for name in replaced:
        if name not in lambdas:
            raise UsageError(f"{path.name} has no Lambda layer {name!r} to replace: {nearest(name, lambdas)}")
    try:
        read = weights_of(file, graph.layers.values())
    except LoadError as error:
        raise LoadError(f"{path.name}: {error}.") from error
    modules = {name: _build(graph, graph.layers[name], read, path.name, replaced) for name, _ in graph.calls}
    if len(graph.input_shape) != 3:
        raise LoadError(f"{path.name} takes inputs of {len(graph.input_shape)} axes; images have 3.")
    height, width, channels = graph.input_shape
    return KerasFile(KerasNetwork(graph, modules).eval(), (channels, height, width))


def _build(graph: Graph, layer: Layer, read: Read, file: str, replaced: Replacements) -> torch.nn.Module:
    if layer.kind == "Lambda":
        return _replacement(layer, file, replaced)
    try:
        kind, options = _logits(layer) if _is_last(graph, layer) else (layer.kind, layer.options)
        return build_layer(kind, options, read(layer))
    except LoadError as error:
        raise LoadError(f"{file}: the layer {layer.name!r} ({layer.kind}) cannot be read: {error}.") from error


def _replacement(layer: Layer, file: str, replaced: Replacements) -> torch.nn.Module:
    found = replaced.get(layer.name)
    if found is None:
        raise UnsafeFileError(
            f"{file} has a Lambda layer ({layer.name!r}), which is code and is not run: say what it does in the target "
            f'file, as in replace_lambda.{layer.name} = "identity" or {{scale = 0.0039, offset = 0.0}}, or export the '
            "model to ONNX."
        )
    return torch.nn.Identity() if found == "identity" else build_layer("Rescaling", found.model_dump(), {})


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
