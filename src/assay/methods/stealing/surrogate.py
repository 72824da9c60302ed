"""A stolen copy as files: weights, and what is needed to rebuild the network around them."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from assay.base.errors import LoadError
from assay.catalogue.record import Preprocessing
from assay.targets.architectures import build
from assay.targets.data import Shape
from assay.targets.module import Preprocessed

WEIGHTS = "surrogate.safetensors"
DESCRIPTION = "surrogate.json"


class Surrogate(BaseModel):
    """What a copy is and what it cost.

    ``size`` (height, width) is what images are resized to before the network sees them. ``queries`` are images asked,
    ``agreement`` is the share of unseen test images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    num_classes: int
    input_shape: Shape
    size: tuple[int, int]
    queries: int
    price: float
    agreement: float


def reduced(shape: Shape, largest_side: int) -> tuple[int, int]:
    """Height and width of a shape (c, h, w), scaled down so that neither is above ``largest_side``."""
    scale = min(1.0, largest_side / max(shape[1:]))
    return max(1, round(shape[1] * scale)), max(1, round(shape[2] * scale))


def resizing(network: torch.nn.Module, size: tuple[int, int]) -> torch.nn.Module:
    """The network, resizing images (n, c, h, w) bilinearly to ``size`` first."""
    return Preprocessed(network, Preprocessing(size=size))


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
        shape = (surrogate.input_shape[0], *surrogate.size)
        module = resizing(build(surrogate.architecture, surrogate.num_classes, shape), surrogate.size)
        module.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValidationError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise LoadError(f"The stolen surrogate in {folder} cannot be loaded: {reason}") from error
    return module.eval().requires_grad_(False), surrogate
