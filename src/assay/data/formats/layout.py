"""Detection of the channel axis."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from assay.base.errors import DataError

COLOURS = (1, 3)


def channels_first(images: NDArray[Any], name: str) -> NDArray[Any]:
    """Images (n, h, w), (n, h, w, c) or (n, c, h, w), with 1 or 3 channels, as a view (n, c, h, w).

    Raises:
        DataError: if they are none of these, or could be two of them.
    """
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4:
        raise DataError(
            f"{name}: images must be (n, height, width), (n, height, width, channels) or "
            f"(n, channels, height, width); these are {images.shape}."
        )
    first, last = images.shape[1] in COLOURS, images.shape[3] in COLOURS
    if first == last:
        why = "either the second or the last number could be channels" if first else "neither end is 1 or 3 channels"
        raise DataError(f"{name}: where the channels of images of shape {images.shape} are is not clear: {why}.")
    return images if first else images.transpose(0, 3, 1, 2)
