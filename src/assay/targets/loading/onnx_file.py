"""ONNX files, evaluated by ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from assay.base.errors import LoadError, UnsafeFileError
from assay.data.images import Shape
from assay.targets.loading.blackbox import Batch, BlackBox, in_batches, reason
from assay.targets.loading.extras import require

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_FOLDER = "session.model_external_initializers_file_folder_path"


def read_onnx(path: Path, shape: Shape | None = None) -> tuple[BlackBox, Shape]:
    """A network, and the (channels, height, width) that it takes.

    Custom operators are unknown to the runtime, and weights in other files are not looked for: the digest of the file
    would say nothing of either. ``shape`` settles the sizes that the file leaves open.

    Raises:
        UnsafeFileError: if the file points to other files.
        LoadError: if it is damaged, needs other operators, or is not a classifier of images.
        UsageError: if ONNX Runtime is not installed.
    """
    runtime = require("onnxruntime", "onnx", "ONNX files")
    try:
        return _read(_open(runtime, path), path, shape)
    except ValueError as error:  # names that are not text, shapes that do not fit
        raise LoadError(f"{path.name} is damaged: {reason(error)}.") from error


def _read(session: Any, path: Path, shape: Shape | None) -> tuple[BlackBox, Shape]:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise LoadError(
            f"{path.name} has {len(inputs)} inputs and {len(outputs)} outputs; a classifier has one of each."
        )
    if inputs[0].type not in _TYPES or len(inputs[0].shape) != 4:
        raise LoadError(
            f"{path.name} takes {inputs[0].type} with {len(inputs[0].shape)} axes; batches of images are floats with 4."
        )
    batch, *sizes = inputs[0].shape
    last = _channels_last(sizes)
    settled = _settle((sizes[2], *sizes[:2]) if last else tuple(sizes), shape, path.name)
    number, at_once = _TYPES[inputs[0].type], batch if isinstance(batch, int) else None

    def ask(images: Batch) -> Batch:
        try:
            (answer,) = session.run(None, {inputs[0].name: images.astype(number)})
        except Exception as error:  # the runtime's own errors have no common base
            raise LoadError(f"{path.name} cannot process images of {settled}: {reason(error)}.") from error
        return np.asarray(answer, np.float32).reshape(len(images), -1)

    def run(images: Batch) -> Batch:
        arranged = images.transpose(0, 2, 3, 1) if last else images
        return ask(arranged) if at_once is None else in_batches(ask, arranged, at_once)

    return BlackBox(run, settled, path.name), settled


def _open(runtime: Any, path: Path) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        with TemporaryDirectory() as empty:
            options.add_session_config_entry(_FOLDER, empty)
            return runtime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own errors have no common base
        if "xternal" in str(error):
            raise UnsafeFileError(
                f"{path.name} keeps weights in other files: save it as one file, so that its digest covers them."
            ) from error
        raise LoadError(f"{path.name} cannot be opened by ONNX Runtime: {reason(error)}.") from error


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
