"""The graph of a TFLite file as plain data: tensors with values and scales, and operators in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.errors import LoadError
from assay.targets.loading.extras import require


class Stored(NamedTuple):
    """A tensor: its shape, its type, its numbers if they are constant, and how numbers stand for real values.

    Real value = ``scale`` x (stored number - ``zero``), with one entry for the whole tensor or one for each index of
    ``axis``; both are empty where the numbers are the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    numbers: NDArray[Any] | None
    scale: NDArray[np.float32]
    zero: NDArray[np.int64]
    axis: int

    def values(self) -> torch.Tensor:
        """The real values of a constant, float32.

        Raises:
            LoadError: if it is not constant.
        """
        if self.numbers is None:
            raise LoadError("weights that are computed cannot be read")
        if not len(self.scale):
            return torch.from_numpy(self.numbers.astype(np.float32))
        along = [-1 if axis == self.axis and len(self.scale) > 1 else 1 for axis in range(self.numbers.ndim)]
        steps = self.numbers.astype(np.float64) - self.zero.reshape(along if len(self.zero) > 1 else [1] * len(along))
        return torch.from_numpy((steps * self.scale.astype(np.float64).reshape(along)).astype(np.float32))

    def integers(self) -> list[int]:
        """The numbers of a constant such as a shape.

        Raises:
            LoadError: if it is not constant.
        """
        if self.numbers is None:
            raise LoadError("shapes that are computed cannot be read")
        return [int(number) for number in self.numbers.ravel()]


class Step(NamedTuple):
    """An operator: its name in TFLite's schema, the positions of its tensors (-1 for one left out), its options."""

    kind: str
    inputs: list[int]
    outputs: list[int]
    options: Any


class Graph(NamedTuple):
    """Tensors by position, operators in the order in which they run, and the positions of the input and output."""

    tensors: list[Stored]
    steps: list[Step]
    input: int
    output: int


def read_graph(path: Path) -> Graph:
    """The graph of a file that LiteRT has accepted.

    Raises:
        LoadError: if it has several subgraphs or types that Assay does not read.
        UsageError: if LiteRT is not installed.
    """
    schema = require("ai_edge_litert.schema_py_generated", "tflite", "TFLite files")
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    if len(model.subgraphs) != 1:
        raise LoadError(f"it has {len(model.subgraphs)} subgraphs")
    (graph,) = model.subgraphs
    kinds = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    types = {
        getattr(schema.TensorType, name.upper()): np.dtype(name)
        for name in ("float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")
    }
    steps = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        steps.append(Step(kind, _numbers(operator.inputs), _numbers(operator.outputs), operator.builtinOptions))
    tensors = [_stored(tensor, model.buffers[tensor.buffer].data, types) for tensor in graph.tensors]
    return Graph(tensors, steps, int(graph.inputs[0]), int(graph.outputs[0]))


def _stored(tensor: Any, data: NDArray[np.uint8] | None, types: dict[int, np.dtype[Any]]) -> Stored:
    if tensor.type not in types:
        raise LoadError(f"it has tensors of type {tensor.type}")
    dtype, shape = types[tensor.type], tuple(_numbers(tensor.shape))
    numbers = None if data is None or not len(data) else np.frombuffer(bytes(data), dtype).reshape(shape)
    known = tensor.quantization
    scale = np.asarray([] if known is None or known.scale is None else known.scale, np.float32)
    zero = np.asarray([0] if known is None or known.zeroPoint is None else known.zeroPoint, np.int64)
    return Stored(shape, dtype, numbers, scale, zero, 0 if known is None else int(known.quantizedDimension))


def _numbers(listed: Any) -> list[int]:
    return [] if listed is None else [int(number) for number in listed]
