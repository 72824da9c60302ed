"""Weights of Keras layers by their short names, from the HDF5 layouts that Keras writes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from assay.base.errors import LoadError, UnsafeFileError
from assay.targets.loading.keras_config import Layer
from assay.targets.loading.keras_layers import Weights

Read = Callable[[Layer], Weights]
"""The weights of a layer."""

_ROOTS = ("layers", "_layer_checkpoint_dependencies")
"""Where Keras 3, and Keras of TensorFlow 2.13 to 2.15, keep numbered weights."""

_ORDER = {
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "DepthwiseConv2D": ("depthwise_kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
"""Short names in the order of creation; those of all other layers are `_USUAL`."""
_USUAL = ("kernel", "bias")
_SWITCHES = {"gamma": "scale", "beta": "center", "bias": "use_bias"}
"""Options without which a weight does not exist."""


def weights_of(file: Any, layers: Iterable[Layer]) -> Read:
    """A reader of an open HDF5 file with the weights of ``layers``, which are in the order of the configuration.

    Raises:
        LoadError: if the file is laid out in another way.
        UnsafeFileError: if a link at any level of it leads to another file, which its digest does not cover.
    """
    _refuse_links(file)
    if "model_weights" in file:
        return _named(file["model_weights"])
    root = next((name for name in _ROOTS if name in file), None)
    if root is not None:
        return _numbered(file[root], list(layers))
    if "layer_names" in file.attrs:
        return _named(file)
    raise LoadError("it holds no weights in a layout of Keras")


def _refuse_links(file: Any) -> None:
    group_type, seen, left = type(file["/"]), set(), [file["/"]]
    while left:
        group = left.pop()
        for name in group:
            link = type(group.get(name, getlink=True)).__name__
            if link == "ExternalLink":
                raise UnsafeFileError(f"{name!r} in {group.name} is a link that points to another file.")
            inside = group[name] if link == "HardLink" else None
            if isinstance(inside, group_type) and inside.id not in seen:  # groups may contain each other
                seen.add(inside.id)
                left.append(inside)


def _named(stored: Any) -> Read:
    """Keras 2: a group for each layer, whose attribute lists the paths of its weights."""

    def read(layer: Layer) -> Weights:
        if layer.name not in stored:
            return {}
        group = stored[layer.name]
        names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["weight_names"]]
        return {name.rpartition("/")[2].partition(":")[0]: _array(group[name], stored) for name in names}

    return read


def _numbered(stored: Any, layers: list[Layer]) -> Read:
    """Keras 3: a group for each layer, called after its class, with the weights in the order of their creation."""
    groups = _groups(stored, layers)

    def read(layer: Layer) -> Weights:
        group = groups.get(layer.name)
        if group is None or "vars" not in stored.get(group, {}):
            return {}
        found = stored[group]["vars"]
        arrays = [_array(found[str(place)], stored) for place in range(len(found))]
        names = [name for name in _ORDER.get(layer.kind, _USUAL) if layer.options.get(_SWITCHES.get(name, ""), True)]
        if len(arrays) > len(names):
            raise LoadError(f"the layer {layer.name!r} ({layer.kind}) has {len(arrays)} weights of unknown order")
        return dict(zip(names, arrays, strict=False))

    return read


def _groups(stored: Any, layers: list[Layer]) -> dict[str, str]:
    """Layer to group: by the name in the group, or by counting the layers of a class, as older releases did."""
    named = {str(stored[group]["vars"].attrs.get("name")): group for group in stored if "vars" in stored[group]}
    if all(layer.name in named for layer in layers if layer.kind != "InputLayer"):
        return named
    counts: Counter[str] = Counter()
    groups = {}
    for layer in layers:
        kind = _snake_case(layer.kind)
        groups[layer.name] = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
    return groups


def _snake_case(kind: str) -> str:
    """A class's name as Keras writes it in lower case: ``BatchNormalization`` to ``batch_normalization``."""
    parted = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", parted).lower()


def _array(array: Any, stored: Any) -> torch.Tensor:
    if array.file.filename != stored.file.filename or array.is_virtual or array.external:
        raise UnsafeFileError(
            f"The weight {array.name!r} does not lie in the file, but in another that the file points to."
        )
    return torch.from_numpy(np.asarray(array, np.float32))
