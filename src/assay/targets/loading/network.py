"""Loading of a model file of any format."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import torch

from assay.base.digests import digest_file, digest_json
from assay.base.errors import AssayError, LoadError, UsageError
from assay.base.fence import try_first
from assay.catalogue.weights import Format
from assay.data.images import Shape
from assay.targets.architectures import build
from assay.targets.loading.blackbox import Logarithm, are_probabilities
from assay.targets.loading.extras import require
from assay.targets.loading.keras_file import Replacements, read_keras
from assay.targets.loading.onnx_file import read_onnx
from assay.targets.loading.sniff import check_format
from assay.targets.loading.state import fit_state, read_state
from assay.targets.loading.tflite_file import read_tflite

_READERS: dict[str, tuple[str, str, str]] = {
    "keras": ("h5py", "keras", "Keras files"),
    "onnx": ("onnxruntime", "onnx", "ONNX files"),
    "tflite": ("ai_edge_litert.interpreter", "tflite", "TFLite files"),
}
"""The libraries that read formats which hold a network: module, extra and what needs it."""


@dataclass(frozen=True)
class Loaded:
    r"""A network from a file: preprocessed images (n, \\*input_shape) to logits (n, num_classes).

    ``differentiable`` says whether gradients pass through it. If not, ``twin`` may be a differentiable
    network with the same outputs; ``no_twin`` says why there is none.
    ``external`` are other files that hold weights of the network. ``vector`` says that it reads vectors of features.
    """

    network: torch.nn.Module
    input_shape: Shape
    num_classes: int
    differentiable: bool
    twin: torch.nn.Module | None = None
    no_twin: str = ""
    external: tuple[Path, ...] = ()
    vector: bool = False

    def digest(self, path: Path) -> str:
        """SHA-256 of the file that was opened; of all its files, if it keeps weights in others as well."""
        found = digest_file(path)
        if not self.external:
            return found
        beside = {file.relative_to(path.parent).as_posix(): digest_file(file) for file in self.external}
        return digest_json({"file": found, "external": beside})


def load_network(
    path: Path,
    format: Format,
    *,
    architecture: str | torch.nn.Module | None = None,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    replace_lambda: Replacements = MappingProxyType({}),
) -> Loaded:
    """Open a model file whose digest has been verified.

    ``architecture`` is needed for state dictionaries (``torch``, ``safetensors``): a name, or a network with random
    weights. The other formats contain the network; arguments given as well must agree with the file.
    ``replace_lambda`` says what stands in for the Lambda layers of a Keras file.

    Raises:
        UnsafeFileError: if the file is of another format, holds code, or points to other files.
        LoadError: if it is damaged or does not fit the architecture, the classes or the shape.
        UsageError: if something is missing: an architecture, or the library for the format.
    """
    check_format(path, format)
    if replace_lambda and format != "keras":
        raise UsageError(f"{path.name} is no Keras file: replace_lambda does not apply.")
    if format in ("torch", "safetensors"):
        loaded = _load_state(path, format, architecture, num_classes, input_shape)
    else:
        require(*_READERS[format])  # once for both processes
        load = partial(_load_whole, path, format, input_shape, replace_lambda)
        try_first(load, path, repr((input_shape, replace_lambda)), size=_read_with(path, format))
        loaded = load()
    if input_shape not in (None, loaded.input_shape):
        raise LoadError(
            f"{path.name} takes images of {_times(loaded.input_shape)} (channels x height x width), not "
            f"{_times(input_shape or ())}."
        )
    if num_classes not in (None, loaded.num_classes):
        raise LoadError(f"{path.name} tells {loaded.num_classes} classes apart, not {num_classes}.")
    return loaded


def _load_whole(path: Path, format: Format, input_shape: Shape | None, replace_lambda: Replacements) -> Loaded:
    """The network of a file that describes it."""
    if format == "keras":
        return _load_keras(path, input_shape, replace_lambda)
    if format == "onnx":
        onnx = read_onnx(path, input_shape)
        classes, beside = onnx.network.num_classes, tuple(onnx.external)
        return Loaded(onnx.network, onnx.input_shape, classes, False, onnx.twin, onnx.no_twin, beside, onnx.vector)
    read = read_tflite(path)
    return Loaded(read.network, read.input_shape, read.network.num_classes, False, read.twin, read.no_twin)


def _read_with(path: Path, format: Format) -> int:
    """The bytes of a file and, if it keeps weights in others, of the files beside it whose names it holds."""
    size = path.stat().st_size
    if format != "onnx" or not size:
        return size
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b"location") < 0:
            return size
        beside = [each for each in path.parent.iterdir() if each.is_file() and each.name != path.name]
        return size + sum(each.stat().st_size for each in beside if content.find(os.fsencode(each.name)) >= 0)


def _load_state(
    path: Path,
    format: Format,
    architecture: str | torch.nn.Module | None,
    num_classes: int | None,
    input_shape: Shape | None,
) -> Loaded:
    if architecture is None or num_classes is None or input_shape is None:
        raise UsageError(
            f"{path.name} holds tensors only: say its architecture, its num_classes, and its input_shape as channels, "
            "height and width."
        )
    state = read_state(path, format)
    if isinstance(architecture, str):
        network, name = build(architecture, num_classes, input_shape), architecture
    else:
        network, name = architecture, type(architecture).__name__
    fit_state(network, state, path.name, name)
    return Loaded(network, input_shape, num_classes, differentiable=True)


def _load_keras(path: Path, input_shape: Shape | None, replace_lambda: Replacements) -> Loaded:
    network, found, external = read_keras(path, replace_lambda)
    sizes = found if input_shape is None else tuple(own or asked for own, asked in zip(found, input_shape, strict=True))
    if None in sizes:
        raise LoadError(f"{path.name} leaves the size of its images open: say it with input_shape.")
    channels, height, width = (int(size) for size in sizes if size is not None)
    try:
        with torch.no_grad():
            answer = network(torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(0)))
    except AssayError as error:
        raise LoadError(f"{path.name} cannot process images of {_times((channels, height, width))}: {error}") from error
    if answer.ndim != 2 or answer.shape[1] < 2:
        raise LoadError(f"{path.name} answers with shape {tuple(answer.shape)}; one row of classes is needed.")
    whole: torch.nn.Module = torch.nn.Sequential(network, Logarithm()) if are_probabilities(answer.numpy()) else network
    return Loaded(whole, (channels, height, width), answer.shape[1], differentiable=True, external=external)


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
