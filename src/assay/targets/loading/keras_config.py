"""Keras's JSON configuration of a network, read as data: its layers and how they are connected."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

from assay.base.errors import LoadError

Tensor = tuple[str, int]
"""The output of a layer's n-th use."""

_ARGUMENTS = {"training", "mask"}
"""Arguments of a layer's call that change nothing in evaluation."""


class Layer(NamedTuple):
    """A layer's class and options, as Keras writes them."""

    name: str
    kind: str
    options: dict[str, Any]


class Graph(NamedTuple):
    """A network with one input and one output.

    ``calls`` maps the output of each layer's use to what it was used on, in an order in which they can be computed.
    ``input_shape`` is (height, width, channels), with None where the file leaves a size open.
    """

    layers: dict[str, Layer]
    calls: dict[Tensor, tuple[Tensor, ...]]
    input: Tensor
    output: Tensor
    input_shape: tuple[int | None, ...]


def parse_graph(config: Any, file: str) -> Graph:
    """The network of a ``model_config``, sequential or functional, of Keras 2 or 3.

    Raises:
        LoadError: if it is of another kind, or has several inputs or outputs.
    """
    try:
        kind, body = config["class_name"], config["config"]
        if kind == "Sequential":
            return _sequential(body, file)
        if kind in ("Functional", "Model"):
            return _functional(body, file)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise LoadError(f"{file} describes its layers in a way that Assay cannot read ({error!r}).") from error
    raise LoadError(f"{file} holds a Keras model of class {kind!r}; sequential and functional models can be read.")


def _layer(entry: Mapping[str, Any]) -> Layer:
    options = dict(entry["config"])
    return Layer(entry.get("name") or options["name"], entry["class_name"], options)


def _input_shape(options: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    shape = options.get("batch_shape") or options.get("batch_input_shape")
    return tuple(shape[1:]) if shape else None


def _sequential(body: Any, file: str) -> Graph:
    entries = body if isinstance(body, list) else body["layers"]
    layers = [_layer(entry) for entry in entries]
    shape = _input_shape(layers[0].options)
    if shape is None and isinstance(body, Mapping) and body.get("build_input_shape"):
        shape = tuple(body["build_input_shape"][1:])
    if shape is None:
        raise LoadError(f"{file} does not say what images its first layer takes.")
    if layers[0].kind != "InputLayer":
        layers.insert(0, Layer("(input)", "InputLayer", {}))
    tensors: list[Tensor] = [(layer.name, 0) for layer in layers]
    calls: dict[Tensor, tuple[Tensor, ...]] = {after: (before,) for before, after in itertools.pairwise(tensors)}
    return Graph({layer.name: layer for layer in layers}, calls, tensors[0], tensors[-1], shape)


def _functional(body: Mapping[str, Any], file: str) -> Graph:
    layers = {layer.name: layer for layer in map(_layer, body["layers"])}
    inputs, outputs = _ends(body["input_layers"]), _ends(body["output_layers"])
    if len(inputs) != 1 or len(outputs) != 1:
        raise LoadError(f"{file} has {len(inputs)} inputs and {len(outputs)} outputs; a classifier has one of each.")
    shape = _input_shape(layers[inputs[0][0]].options)
    if shape is None:
        raise LoadError(f"{file} does not say what images its input layer takes.")
    uses = {
        (name, index): _inbound(node, file)
        for name, entry in zip(layers, body["layers"], strict=True)
        for index, node in enumerate(entry["inbound_nodes"])
    }
    return Graph(layers, _ordered(uses, inputs[0], outputs[0]), inputs[0], outputs[0], shape)


def _ends(found: Any) -> list[Tensor]:
    """``[name, 0, 0]`` or a list of such."""
    entries = [found] if found and isinstance(found[0], str) else found
    return [(entry[0], entry[1]) for entry in entries]


def _inbound(node: Any, file: str) -> tuple[Tensor, ...]:
    """What one use of a layer takes: Keras 2 lists names, Keras 3 describes the call's arguments."""
    if isinstance(node, Mapping):
        arguments = node["args"][0] if len(node["args"]) == 1 else node["args"]
        found = arguments if isinstance(arguments, list) else [arguments]
        histories = [argument["config"]["keras_history"] for argument in found]
        options = [node.get("kwargs", {})]
    else:
        histories = [node] if isinstance(node[0], str) else node
        options = [history[3] for history in histories if len(history) > 3]
    other = {key for option in options for key, value in option.items() if value is not None} - _ARGUMENTS
    if other:
        raise LoadError(f"{file} calls a layer with the argument {min(other)!r}, which Assay cannot interpret.")
    return tuple((history[0], history[1]) for history in histories)


def _ordered(uses: dict[Tensor, tuple[Tensor, ...]], first: Tensor, last: Tensor) -> dict[Tensor, tuple[Tensor, ...]]:
    """The uses that the output needs, each after those that it needs itself."""
    done: dict[Tensor, tuple[Tensor, ...]] = {}
    waiting, entered = [last], set()
    while waiting:
        tensor = waiting[-1]
        needed = [] if tensor == first else [t for t in uses[tensor] if t != first and t not in done]
        if tensor == first or tensor in done:
            waiting.pop()
        elif not needed:
            done[waiting.pop()] = uses[tensor]
        elif tensor in entered:
            raise ValueError("its layers form a circle")
        else:
            entered.add(tensor)
            waiting += needed
    return done
