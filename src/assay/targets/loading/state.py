"""State dictionaries: extraction from a checkpoint, and loading into a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from assay.base.errors import LoadError
from assay.base.fence import try_first
from assay.targets.loading.safetensors_file import read_safetensors
from assay.targets.loading.torch_file import read_checkpoint

State = dict[str, torch.Tensor]

_NESTED_UNDER = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params")
_SHOWN = 3
_DEEPEST = 16
"""Levels at which a state dictionary is looked for."""

_COUNTER = "num_batches_tracked"
"""Batch normalisation's counter: older files lack it, and evaluation does not read it."""


def read_state(path: Path, kind: str) -> State:
    """The tensors of a ``safetensors`` or ``torch`` file by name, from wherever a checkpoint nests them.

    Raises:
        UnsafeFileError: if the file asks for code.
        LoadError: if it is damaged or holds no state dictionary.
    """
    if kind == "safetensors":
        return read_safetensors(path)
    try_first(partial(_read_checkpoint, path), path)
    return _read_checkpoint(path)


def _read_checkpoint(path: Path) -> State:
    return find_state(read_checkpoint(path), path.name)


def find_state(found: Any, name: str) -> State:
    """The state dictionary in what a checkpoint holds.

    It is the checkpoint itself, or under a usual name in it (``state_dict``, ``model``, ``net`` and so on), or the
    first of a list: cascades of provably robust networks are stored so, and their first network answers alone.

    Raises:
        LoadError: if there is none.
    """
    for _ in range(_DEEPEST):
        if isinstance(found, Mapping):
            if found and all(isinstance(value, torch.Tensor) for value in found.values()):
                return _plain({str(key): value for key, value in found.items()}, name)
            inner = next((found[key] for key in _NESTED_UNDER if key in found), None)
            if inner is None:
                raise LoadError(f"{name} holds no state dictionary; its keys are {_few(map(str, found))}.")
            found = inner
        elif isinstance(found, Sequence) and not isinstance(found, str) and found:
            found = found[0]
        else:
            raise LoadError(f"{name} holds {type(found).__name__}, not a state dictionary.")
    raise LoadError(f"{name} nests its state dictionary more than {_DEEPEST} deep, or holds itself: save it alone.")


def _plain(state: State, name: str) -> State:
    """A state, if its tensors are what a network can be filled with: dense numbers, all of which are in the file.

    Raises:
        LoadError: if one is sparse, quantised, without content, or repeats what the file holds to a larger shape.
    """
    for key, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_nested:
            what = "is sparse: save `tensor.to_dense()`"
        elif tensor.is_quantized:
            what = "is quantised: save `tensor.dequantize()`, or export the network to ONNX"
        elif tensor.device.type != "cpu":
            what = f"has no content ({tensor.device.type}): save the network's weights"
        elif tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            what = f"has the shape {_shape(tensor)}, and the file holds fewer numbers: save `tensor.clone()`"
        else:
            continue
        raise LoadError(f"{name} cannot be read: {key} {what}.")
    return state


def fit_state(module: torch.nn.Module, state: State, name: str, architecture: str) -> None:
    """Copy tensors into a network.

    A prefix that all of the file's keys share and that the network does not know (DataParallel's ``module.``) is
    dropped.

    Raises:
        LoadError: if keys are missing or unexpected, or shapes differ; the sentence names a few and counts them all.
    """
    expected = module.state_dict()
    state = _without_prefix(state, expected)
    missing = [key for key in expected if key not in state and not key.endswith(_COUNTER)]
    unexpected = [key for key in state if key not in expected and not key.endswith(_COUNTER)]
    reshaped = [
        f"{key} {_shape(state[key])} instead of {_shape(expected[key])}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    complaints = [
        f"{len(keys)} {what} ({_few(keys)})"
        for keys, what in ((missing, "missing"), (unexpected, "unexpected"), (reshaped, "of another shape"))
        if keys
    ]
    if complaints:
        raise LoadError(f"{name} does not fit the architecture {architecture}: keys {', '.join(complaints)}.")
    module.load_state_dict({key: value for key, value in state.items() if key in expected}, strict=False)


def _without_prefix(state: State, expected: State) -> State:
    stripped = state
    while not stripped.keys() & expected.keys():
        if len({key.partition(".")[0] for key in stripped}) != 1 or not all("." in key for key in stripped):
            return state
        stripped = {key.partition(".")[2]: value for key, value in stripped.items()}
    return stripped


def _few(keys: Iterable[str]) -> str:
    listed = list(keys)
    return ", ".join(listed[:_SHOWN]) + (", ..." if len(listed) > _SHOWN else "")


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
