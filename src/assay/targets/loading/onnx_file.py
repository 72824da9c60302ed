"""ONNX files, evaluated by ONNX Runtime on the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch

from assay.base.errors import LoadError, UnsafeFileError
from assay.data.images import Shape
from assay.targets.loading.blackbox import Batch, BlackBox, in_batches, reason, verified
from assay.targets.loading.extras import require
from assay.targets.loading.onnx_twin import read_twin

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_LABELS = ("tensor(int64)", "tensor(string)", "tensor(int32)")
_INSTEAD = (
    "Assay assesses classifiers only, with one input and one row of class scores for each: of a detector or a "
    "segmentation model, export the backbone with a classification head; of a pipeline, export one with a single input."
)
_PROVIDERS = ["CPUExecutionProvider"]
_FOLDER = "session.model_external_initializers_file_folder_path"


_TOLERATED = 1e-4
"""The mean difference of probabilities above which a twin is not the network that the file holds."""

_TOLERATED_QUANTISED = 0.05
"""The same for quantised networks, where values that lie between two steps fall to either side."""


class OnnxFile(NamedTuple):
    """A network, the (channels, height, width) that it takes, and the other files in which its weights lie.

    ``twin`` is the same network with gradients; ``no_twin`` says why there is none. ``vector`` says that it takes
    (n, features), and ``input_shape`` is (1, 1, features).
    """

    network: BlackBox
    input_shape: Shape
    external: list[Path]
    twin: torch.nn.Module | None = None
    no_twin: str = ""
    vector: bool = False


def read_onnx(path: Path, shape: Shape | None = None) -> OnnxFile:
    """A network as ONNX Runtime evaluates it.

    Weights may lie in other files of the same folder (`external_files`), as ``torch.onnx.export`` writes them. Custom
    operators are unknown to the runtime. ``shape`` settles the sizes that the file leaves open.

    Raises:
        UnsafeFileError: if the file points outside its folder.
        LoadError: if it is damaged, needs other operators, or is not a classifier of images or vectors.
        UsageError: if ONNX Runtime is not installed.
    """
    runtime = require("onnxruntime", "onnx", "ONNX files")
    try:
        session, external = _open(runtime, path)
        vector = [len(each.shape) for each in session.get_inputs()] == [2]
        network, settled = _read(session, path, shape)
    except ValueError as error:  # names that are not text, shapes that do not fit
        raise LoadError(f"{path.name} is damaged: {reason(error)}.") from error
    return OnnxFile(network, settled, external, *_twin_of(path, network, settled), vector)


def _twin_of(path: Path, network: BlackBox, shape: Shape) -> tuple[torch.nn.Module | None, str]:
    try:
        twin = read_twin(path)
    except Exception as error:  # the parser's errors have no common base
        return None, reason(error)
    whole = twin if twin.softmax else torch.nn.Sequential(twin, network.logits)
    quantised = any(node.kind == "QuantizeLinear" for node in twin.nodes)
    tolerated = _TOLERATED_QUANTISED if quantised else _TOLERATED
    with contextlib.suppress(Exception):  # whatever a graph holds that the runtime takes and torch does not
        return verified(whole, network, shape, tolerated), ""
    try:
        twin.keep_batches()
        return verified(whole, network, shape, tolerated), ""
    except Exception as error:
        return None, reason(error)


def _read(session: Any, path: Path, shape: Shape | None) -> tuple[BlackBox, Shape]:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    output = _scores(outputs)
    if len(inputs) != 1 or output is None:
        raise LoadError(f"{path.name} has {len(inputs)} inputs and {len(outputs)} outputs; {_INSTEAD}")
    if inputs[0].type not in _TYPES or len(inputs[0].shape) not in (2, 4):
        raise LoadError(
            f"{path.name} takes {inputs[0].type} with {len(inputs[0].shape)} axes; batches of images are floats with "
            "4, and batches of vectors floats with 2."
        )
    if len(output.shape or ()) > 2 and not _flat(output.shape):
        raise LoadError(f"{path.name} answers with {len(output.shape)} axes, one row for each place or box; {_INSTEAD}")
    batch, *sizes = inputs[0].shape
    vector = len(sizes) == 1
    last = not vector and _channels_last(sizes)
    sizes = [1, 1, *sizes] if vector else sizes
    settled = _settle((sizes[2], *sizes[:2]) if last else tuple(sizes), shape, path.name)
    number, at_once = _TYPES[inputs[0].type], batch if isinstance(batch, int) else None

    def ask(images: Batch) -> Batch:
        try:
            (answer,) = session.run([output.name], {inputs[0].name: images.astype(number)})
        except Exception as error:  # the runtime's own errors have no common base
            raise LoadError(f"{path.name} cannot process images of {settled}: {reason(error)}.") from error
        if isinstance(answer, list):  # a ZipMap of skl2onnx: one dictionary for each row, from class to probability
            answer = [[row[key] for key in sorted(row)] for row in answer]
        return np.asarray(answer, np.float32).reshape(len(images), -1)

    def run(images: Batch) -> Batch:
        arranged = images.transpose(0, 2, 3, 1) if last else images.reshape(len(images), -1) if vector else images
        return ask(arranged) if at_once is None else in_batches(ask, arranged, at_once)

    return BlackBox(run, settled, path.name), settled


def _scores(outputs: list[Any]) -> Any:
    """The output with one number for each class: the only one, or the one beside the labels of a scikit-learn model."""
    if len(outputs) == 1:
        return outputs[0]
    labels = [each for each in outputs if each.type in _LABELS]
    others = [each for each in outputs if each not in labels]
    fits = len(outputs) == 2 and len(labels) == 1 and len(others) == 1
    return others[0] if fits and (others[0].type in _TYPES or others[0].type.startswith("seq(map(")) else None


def _flat(sizes: Sequence[Any]) -> bool:
    """Whether an output (n, classes, 1, 1) is a row of classes all the same."""
    return len([size for size in sizes[1:] if size != 1]) <= 1


def _open(runtime: Any, path: Path) -> tuple[Any, list[Path]]:
    """A session, and the files with weights that it opened besides ``path``."""
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        # From memory and beside an empty folder, no reference to another file can be followed.
        with TemporaryDirectory() as empty:
            options.add_session_config_entry(_FOLDER, empty)
            return runtime.InferenceSession(path.read_bytes(), options, providers=_PROVIDERS), []
    except Exception as error:  # the runtime's own errors have no common base
        if "xternal" not in str(error):
            raise LoadError(f"{path.name} cannot be opened by ONNX Runtime: {reason(error)}.") from error
    external = external_files(path)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        return runtime.InferenceSession(str(path), options, providers=_PROVIDERS), external
    except Exception as error:
        raise LoadError(f"{path.name} cannot be opened by ONNX Runtime: {reason(error)}.") from error


def external_files(path: Path) -> list[Path]:
    """The files in which an ONNX file keeps weights, sorted; empty if it holds them itself.

    Raises:
        UnsafeFileError: if one is not a plain file in the folder of the ONNX file, or below it.
        LoadError: if one is missing, or the ONNX file is damaged.
        UsageError: if the library onnx is not installed.
    """
    onnx = require("onnx", "onnx", "ONNX files with weights in other files")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # the parser's errors have no common base
        raise LoadError(f"{path.name} is damaged: {reason(error)}.") from error
    tensors = (tensor for tensor in _messages(model, onnx.TensorProto) if tensor.data_location == tensor.EXTERNAL)
    named = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    return [_beside(path, location) for location in sorted(named)]


def _messages(message: Any, kind: type) -> Iterator[Any]:
    """All messages of a kind inside a protobuf message: weights also stand in attributes and in subgraphs."""
    if isinstance(message, kind):
        yield message
        return
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in value if isinstance(value, Sequence) else [value]:
                yield from _messages(inner, kind)


def _beside(path: Path, location: str) -> Path:
    """An external file, checked to be a plain file below the folder of the ONNX file."""
    folder, file = path.parent.resolve(), path.parent / location
    parts = PurePosixPath(location.replace("\\", "/")).parts
    steps = [path.parent.joinpath(*parts[: count + 1]) for count in range(len(parts))]
    outside = PurePosixPath(location).is_absolute() or ".." in parts or not parts
    if outside or any(step.is_symlink() for step in steps) or not file.resolve().is_relative_to(folder):
        raise UnsafeFileError(
            f"{path.name} keeps weights in {location!r}, which is not a plain file in its own folder: export it again, "
            "so that the data lie beside it."
        )
    if not file.is_file():
        raise LoadError(f"{path.name} keeps weights in {location}, which is not beside it.")
    return file


def _channels_last(sizes: list[Any]) -> bool:
    return sizes[0] not in (1, 3, 4) and sizes[2] in (1, 3, 4)


def _settle(found: tuple[Any, ...], asked: Shape | None, name: str) -> Shape:
    """The file's (channels, height, width), with open sizes (names or None) taken from what was asked for."""
    known = [size if isinstance(size, int) else None for size in found]
    settled = [own if own is not None else (asked[axis] if asked else None) for axis, own in enumerate(known)]
    if None in settled:
        raise LoadError(f"{name} leaves the size of its images open: say it with input_shape.")
    channels, height, width = (int(size) for size in settled if size is not None)
    return channels, height, width
