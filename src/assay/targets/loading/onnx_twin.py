"""A differentiable twin of an ONNX network: the same arithmetic in torch, with gradients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assay.base.errors import LoadError
from assay.targets.loading.extras import require
from assay.targets.loading.onnx_operators import OPERATIONS, Node
from assay.targets.loading.onnx_shapes import stored


class Twin(torch.nn.Module):
    """The graph in torch. A softmax at the end is left out, so that the answers are logits.

    ``batch`` is the number of images that the file was written for, 0 if it takes any.
    """

    def __init__(self, graph: Any, opset: int, constants: dict[str, Tensor]) -> None:
        """Make the constants ready.

        Raises:
            LoadError: if an operator is unknown; the message names it.
        """
        super().__init__()
        (port,) = [each for each in graph.input if each.name not in constants]
        sizes = [size.dim_value for size in port.type.tensor_type.shape.dim]
        self.input, self.axes, self.batch, self.in_batches = port.name, len(sizes), sizes[0], False
        self.channels_last = len(sizes) == 4 and sizes[1] not in (1, 3, 4) and sizes[3] in (1, 3, 4)
        self.output = graph.output[0].name
        self.nodes = [_node(each, opset, sizes[0]) for each in graph.node]
        last = self.nodes[-1] if self.nodes else None
        self.softmax = last is not None and last.kind == "Softmax" and last.outputs[0] == self.output
        if last is not None and self.softmax:
            self.nodes.pop()
            self.output = last.inputs[0]
        unknown = sorted({node.kind for node in self.nodes} - OPERATIONS.keys())
        if unknown:
            raise LoadError(f"{'the operators' if unknown[1:] else 'the operator'} {', '.join(unknown)}: no gradient")
        self.constants: dict[str, str] = {}
        for number, (name, values) in enumerate(constants.items()):
            self.constants[name] = f"constant{number}"
            self.register_buffer(f"constant{number}", values, persistent=False)
        self.spent = _last_uses(self.nodes, self.output)

    def forward(self, images: Tensor) -> Tensor:
        """Preprocessed images (n, c, h, w) to logits (n, classes)."""
        if not self.in_batches:
            return self._run(images)
        missing = -len(images) % self.batch
        filled = torch.cat([images, images.new_zeros(missing, *images.shape[1:])])
        return torch.cat([self._run(part) for part in torch.split(filled, self.batch)])[: len(images)]

    def keep_batches(self) -> None:
        """From now on take images as many at a time as the file was written for: its operators hold that number."""
        self.in_batches = bool(self.batch)
        self.nodes = [node._replace(batch=0) for node in self.nodes]

    def _run(self, images: Tensor) -> Tensor:
        start = images.permute(0, 2, 3, 1) if self.channels_last else images
        values = {self.input: start.flatten(1) if self.axes == 2 else start}
        for place, node in enumerate(self.nodes):
            given = [self._value(name, values) for name in node.inputs]
            made = OPERATIONS[node.kind](node, *given)
            values.update(zip(node.outputs, made if isinstance(made, tuple) else (made,), strict=False))
            for name in self.spent[place]:
                values.pop(name, None)
        return values[self.output].flatten(1)

    def _value(self, name: str, values: dict[str, Tensor]) -> Tensor | None:
        if not name:
            return None
        known = values.get(name)
        found: Tensor = getattr(self, self.constants[name]) if known is None else known
        return found


def _node(message: Any, opset: int, batch: int) -> Node:
    if message.domain not in ("", "ai.onnx"):
        raise LoadError(f"the operator {message.domain}.{message.op_type}: no gradient")
    helper = require("onnx.helper", "onnx", "ONNX files")
    attributes = {each.name: helper.get_attribute_value(each) for each in message.attribute}
    return Node(message.op_type, tuple(message.input), tuple(message.output), attributes, opset, batch)


def _last_uses(nodes: Sequence[Node], kept: str) -> list[list[str]]:
    """For each node the values that nothing after it reads."""
    last = {name: place for place, node in enumerate(nodes) for name in (*node.outputs, *node.inputs) if name}
    last.pop(kept, None)
    return [[name for name, at in last.items() if at == place] for place in range(len(nodes))]


def read_twin(path: Path) -> Twin:
    """The twin of a file that ONNX Runtime has accepted, and whose external files were checked.

    Raises:
        LoadError: if it has operators or forms of them that have no gradient here.
        UsageError: if the library onnx is not installed.
    """
    model = require("onnx", "onnx", "gradients through ONNX files").load(path)
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 1)
    constants = {each.name: stored(each) for each in model.graph.initializer}
    return Twin(model.graph, opset, constants).eval()
