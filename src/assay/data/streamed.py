"""Image sets too large for memory: images are read on demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.errors import DataError
from assay.base.progress import Progress
from assay.data.images import ArrayImages, Shape, check_labels, shape_text, to_pixels

IN_MEMORY = 512 << 20
"""Sets of at most so many bytes of pixels are kept in memory."""

Reader = Callable[[int], NDArray[Any]]
"""One image by its row, uint8 or float in [0, 1], (channels, height, width): the same image each time."""


class StreamedImages:
    """Images read one by one from wherever they are; the labels are in memory."""

    def __init__(self, read: Reader, labels: Any, *, shape: Shape, digest: str, name: str) -> None:
        """Wrap a reader, which must be picklable if `assay.data.images.batches` is to use workers.

        ``digest`` is the SHA-256 of the whole content, which the caller has read once.

        Raises:
            DataError: if the labels are not whole numbers of 0 or more.
        """
        self.read = read
        self.labels = check_labels(labels, len(labels), name)
        self.shape = shape
        self.digest = digest
        self.name = name

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Read the images of some rows, float32 (k, channels, height, width) in [0, 1].

        Raises:
            DataError: if an image cannot be read, or has another shape than the set.
        """
        pixels = torch.empty((len(rows), *self.shape))
        for position, row in enumerate(rows):
            image = self.read(int(row))
            if image.shape != self.shape:
                raise DataError(
                    f"{self.name}: image {row} is {shape_text(image.shape)}, and the set is {shape_text(self.shape)}."
                )
            pixels[position] = to_pixels(image)
        return pixels


def kept_in_memory(images: StreamedImages, progress: Progress) -> ArrayImages | StreamedImages:
    """The set in memory where its pixels, as uint8, take no more than `IN_MEMORY` bytes; else as it is."""
    if len(images) * int(np.prod(images.shape)) > IN_MEMORY:
        return images
    pixels = np.empty((len(images), *images.shape), np.uint8)
    with progress.step(f"Reading {images.name}", len(images)) as step:
        for row in range(len(images)):
            pixels[row] = images.read(row)
            step.advance()
    return ArrayImages(pixels, images.labels, images.name)
