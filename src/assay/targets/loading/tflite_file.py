"""TFLite files, float and quantised, evaluated by LiteRT on the CPU, with a differentiable twin where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.errors import LoadError
from assay.data.images import Shape
from assay.targets.loading.blackbox import Batch, BlackBox, in_batches, reason, verified
from assay.targets.loading.extras import require
from assay.targets.loading.tflite_twin import read_twin

_AT_ONCE = 64
"""Images for each call: enough to be quick, few enough for the activations of large networks."""

_TOLERATED = 0.05
"""The mean difference of probabilities above which a twin is not the network that the file holds. What rounding alone
makes of them is a tenth of that; LiteRT's own kernels for one file differ so much among themselves."""


class TfliteFile(NamedTuple):
    """A network, the (channels, height, width) that it takes, and its twin, or why there is none."""

    network: BlackBox
    input_shape: Shape
    twin: torch.nn.Module | None
    no_twin: str


class Port(NamedTuple):
    """An input or output: real value = ``scale`` x (stored number - ``zero``); 0 stands for no scale."""

    position: int
    shape: tuple[int, ...]
    dtype: Any
    scale: float
    zero: int

    def quantise(self, values: Batch) -> NDArray[Any]:
        """Real values as stored numbers, rounded and clipped to the type's range."""
        if np.issubdtype(self.dtype, np.floating):
            return values.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        stored: NDArray[Any] = np.rint(values / (self.scale or 1.0)) + self.zero
        return stored.clip(limits.min, limits.max).astype(self.dtype, copy=False)

    def dequantise(self, stored: NDArray[Any]) -> Batch:
        """Stored numbers as real values."""
        values = stored.astype(np.float32)
        return (values - self.zero) * np.float32(self.scale) if self.scale else values


def read_tflite(path: Path) -> TfliteFile:
    """A network as LiteRT evaluates it, and its differentiable twin.

    Its input is in real values, whatever it is quantised to: a network that stores pixel 0 as -128 with a scale of 1
    takes 0..255.

    Raises:
        LoadError: if the file is damaged, needs operators that the runtime lacks, or is not a classifier of images.
        UsageError: if LiteRT is not installed.
    """
    runtime = require("ai_edge_litert.interpreter", "tflite", "TFLite files")
    try:
        return _read(runtime.Interpreter(str(path)), path)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise LoadError(f"{path.name} is damaged, or needs operators that LiteRT lacks: {reason(error)}.") from error


def _read(interpreter: Any, path: Path) -> TfliteFile:
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0]["shape"]) != 4:
        raise LoadError(f"{path.name} is not a classifier of images: it has other inputs or outputs than one of each.")
    source, answer = _port(inputs[0]), _port(outputs[0])
    sizes = source.shape[1:]
    last = sizes[2] in (1, 3, 4)
    shape = (sizes[2], sizes[0], sizes[1]) if last else (sizes[0], sizes[1], sizes[2])
    runner = _Runner(interpreter, source, answer)

    def run(images: Batch) -> Batch:
        return runner.ask(images.transpose(0, 2, 3, 1) if last else images)

    network = BlackBox(run, shape, path.name, answer.scale)
    try:
        twin = read_twin(path, last)
        whole = twin if twin.softmax else torch.nn.Sequential(twin, network.logits)
        return TfliteFile(network, shape, verified(whole, network, shape, _TOLERATED), "")
    except (LoadError, RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
        return TfliteFile(network, shape, None, reason(error))


def _port(details: dict[str, Any]) -> Port:
    scale, zero = details["quantization"]
    return Port(details["index"], tuple(int(n) for n in details["shape"]), details["dtype"], float(scale), int(zero))


class _Runner:
    """Asks in large batches where the network can be resized to them, and in its own batch size where it cannot."""

    def __init__(self, interpreter: Any, source: Port, answer: Port) -> None:
        self.interpreter, self.source, self.answer = interpreter, source, answer
        self.size = source.shape[0]
        self.resizable = self._try(_AT_ONCE)
        if not self.resizable:
            self._allocate(source.shape[0])

    def ask(self, images: Batch) -> Batch:
        """Answers (n, classes) to images in the file's own layout."""
        if not self.resizable:
            return in_batches(self._invoke, images, self.size)
        answers = []
        for start in range(0, len(images), _AT_ONCE):
            part = images[start : start + _AT_ONCE]
            if len(part) != self.size:
                self._allocate(len(part))
            answers.append(self._invoke(part))
        return np.concatenate(answers)

    def _try(self, count: int) -> bool:
        try:
            self._allocate(count)
        except (ValueError, RuntimeError):
            return False
        return bool(self.interpreter.get_output_details()[0]["shape"][0] == count)

    def _allocate(self, count: int) -> None:
        self.interpreter.resize_tensor_input(self.source.position, (count, *self.source.shape[1:]))
        self.interpreter.allocate_tensors()
        self.size = count

    def _invoke(self, images: Batch) -> Batch:
        self.interpreter.set_tensor(self.source.position, self.source.quantise(images))
        self.interpreter.invoke()
        return self.answer.dequantise(self.interpreter.get_tensor(self.answer.position)).reshape(len(images), -1)
