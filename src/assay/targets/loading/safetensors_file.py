"""Safetensors: a header of JSON and raw numbers."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from assay.base.errors import LoadError

HEADER = 16 << 20
"""Bytes of the largest header that is read."""


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a file by name.

    Raises:
        LoadError: if the file is damaged.
    """
    try:
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if header > HEADER:
            raise LoadError(
                f"{path.name} has a header of {header >> 20} MiB, and a network of ten thousand tensors needs one: it "
                "was not opened."
            )
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise LoadError(f"{path.name} is a damaged or truncated safetensors file: {error}.") from error
    return tensors
