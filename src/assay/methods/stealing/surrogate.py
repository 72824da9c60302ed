"""A stolen copy as files: weights, and what is needed to rebuild the network around them."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from assay.base.errors import LoadError
from assay.targets.architectures import build
from assay.targets.data import Shape

WEIGHTS = "surrogate.safetensors"
DESCRIPTION = "surrogate.json"


class Surrogate(BaseModel):
    """What a copy is and what it cost. ``queries`` are images asked, ``agreement`` the share of unseen test images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    num_classes: int
    input_shape: Shape
    queries: int
    price: float
    agreement: float


def save_surrogate(module: torch.nn.Module, surrogate: Surrogate, folder: Path) -> list[Path]:
    """Write both files into a folder; their paths."""
    paths = [folder / WEIGHTS, folder / DESCRIPTION]
    save_file({name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}, paths[0])
    paths[1].write_text(surrogate.model_dump_json(indent=1))
    return paths


def load_surrogate(folder: Path) -> tuple[torch.nn.Module, Surrogate]:
    """The copy, in evaluation mode and frozen, taking pixels in [0, 1] and giving logits.

    Raises:
        LoadError: if a file is missing, damaged, or does not fit the other.
    """
    try:
        surrogate = Surrogate.model_validate_json((folder / DESCRIPTION).read_text())
        module = build(surrogate.architecture, surrogate.num_classes, surrogate.input_shape)
        module.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValidationError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise LoadError(f"The stolen surrogate in {folder} cannot be loaded: {reason}") from error
    return module.eval().requires_grad_(False), surrogate
