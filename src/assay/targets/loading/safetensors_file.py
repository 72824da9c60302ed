"""Safetensors: a header of JSON and raw numbers."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from assay.base.errors import LoadError


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a file by name.

    Raises:
        LoadError: if the file is damaged.
    """
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise LoadError(f"{path.name} is a damaged or truncated safetensors file: {error}.") from error
    return tensors
