"""Images as small PNG files, for the galleries of a report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from assay.base.errors import WorkspaceError

SMALLEST_SIDE = 64
"""Pixels that the shorter side of a saved image has at least; smaller images are enlarged without smoothing."""


def save_png(image: torch.Tensor, path: Path) -> str:
    """Write one image, float (channels, height, width) in [0, 1], and give the file's name for a `Gallery`.

    One channel is grey, three are colour; of any other number the first is shown. An image whose shorter side is below
    `SMALLEST_SIDE` is enlarged by a whole factor, nearest neighbour.

    Raises:
        WorkspaceError: if the file cannot be written.
    """
    shown = image.detach().cpu().float().clamp(0.0, 1.0)
    shown = shown if len(shown) == 3 else shown[:1].expand(3, -1, -1)
    factor = -(-SMALLEST_SIDE // min(shown.shape[-2:]))
    bytes_ = (shown * 255.0).round().to(torch.uint8).permute(1, 2, 0).numpy()
    bytes_ = np.ascontiguousarray(bytes_.repeat(factor, axis=0).repeat(factor, axis=1))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(bytes_).save(path, format="PNG", optimize=True)
    except OSError as error:
        raise WorkspaceError(f"The image {path} cannot be written: {error.strerror}.") from error
    return path.name


def magnified(difference: torch.Tensor) -> torch.Tensor:
    """A difference of two images (channels, height, width), scaled so that its largest entry spans [0, 1].

    Grey (0.5) is no difference, 0 the largest decrease and 1 the largest increase; all zeros stay grey.
    """
    largest = difference.abs().max().clamp_min(torch.finfo(difference.dtype).tiny)
    return 0.5 + 0.5 * difference / largest
