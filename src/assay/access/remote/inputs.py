"""Images and texts as services take them."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from assay.base.errors import DataError


def to_bytes(pixels: torch.Tensor) -> NDArray[np.uint8]:
    """Images float32 in [0, 1] as uint8 of the same shape, each pixel rounded to the nearest of 256 values."""
    rounded: NDArray[np.uint8] = np.rint(pixels.numpy().astype(np.float64) * 255.0).astype(np.uint8)
    return rounded


def png(pixels: torch.Tensor) -> bytes:
    """One image, float32 (1 or 3, height, width) in [0, 1], as a PNG file.

    Raises:
        DataError: if it has another number of channels.
    """
    array = to_bytes(pixels)
    if array.shape[0] not in (1, 3):
        raise DataError(f"A service takes grey or colour images; these have {array.shape[0]} channels.")
    file = io.BytesIO()
    Image.fromarray(array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()


def text(row: torch.Tensor) -> str:
    """One text from its row of UTF-8 bytes, (1, 1, length), as float32 in [0, 1]: the bytes before the first zero.

    A character that the row's end cut in half is left out.
    """
    return bytes(to_bytes(row).reshape(-1)).partition(b"\0")[0].decode("utf-8", "ignore")
