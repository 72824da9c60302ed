"""Any map-style torch Dataset, from Python."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from assay.base.digests import digest_arrays, digest_json
from assay.base.errors import DataError
from assay.base.progress import Progress, silent
from assay.data.formats.layout import channels_first
from assay.data.images import ArrayImages, Images, Shape, in_order, shape_text, to_pixels
from assay.data.streamed import IN_MEMORY, StreamedImages

REREAD = 8
"""Images read twice to see that they stay the same."""


class MapStyle(Protocol):
    """The part of torch's Dataset that is used: a length, and ``dataset[row]`` returning (image, label)."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Any: ...


def from_torch(dataset: MapStyle, *, name: str = "data", workers: int = 0, progress: Progress | None = None) -> Images:
    """A torch Dataset of (image, label) as images.

    An image is a tensor (channels, height, width) or (height, width), a PIL image, or an array as `channels_first`
    takes it; uint8, or floats in [0, 1], without normalisation (that belongs to the target). One pass by a
    DataLoader with ``workers`` processes collects the labels and hashes the pixels; a small set stays in memory, a
    large one is read again when it is asked for.

    Raises:
        DataError: if there is no length, an item is no (image, label), shapes differ, or images change from one
            reading to the next (a random transform).
    """
    if isinstance(dataset, torch.utils.data.IterableDataset) or not hasattr(dataset, "__len__") or len(dataset) == 0:
        raise DataError(f"{name}: a map-style data set with a length of 1 or more is needed.")
    items = _Items(dataset, name)
    pixels_hash, labels, kept = hashlib.sha256(), [], []
    shape: Shape | None = None
    with (progress or silent()).step(f"Reading {name}", len(dataset)) as step:
        for row, (image, label) in enumerate(in_order(items.item, len(dataset), workers)):
            shape = shape or image.shape
            if image.shape != shape:
                raise DataError(f"{name}: image {row} is {shape_text(image.shape)}, the first is {shape_text(shape)}.")
            if row < REREAD and not np.array_equal(image, items.image(row)):
                raise DataError(f"{name}: image {row} differs when it is read again; take random transforms out.")
            pixels_hash.update(image.tobytes())
            labels.append(label)
            if image.nbytes * len(dataset) <= IN_MEMORY:
                kept.append(image)
            step.advance()
    if kept:
        return ArrayImages(np.stack(kept), labels, name)
    assert shape is not None, "there is at least one image"
    digest = digest_json({"pixels": pixels_hash.hexdigest(), "labels": digest_arrays(labels=np.asarray(labels))})
    return StreamedImages(items.image, labels, shape=shape, digest=digest, name=name)


class _Items:
    def __init__(self, dataset: MapStyle, name: str) -> None:
        self.dataset, self.name = dataset, name

    def item(self, row: int) -> tuple[NDArray[Any], Any]:
        try:
            image, label = self.dataset[row]
            return self._array(image), label.item() if hasattr(label, "item") else label
        except DataError as error:
            raise DataError(f"{self.name}, item {row}: {error}") from None
        except (RuntimeError, TypeError, ValueError) as error:
            raise DataError(f"{self.name}: item {row} is not an (image, label): {error}") from error

    def image(self, row: int) -> NDArray[Any]:
        return self.item(row)[0]

    def _array(self, image: Any) -> NDArray[Any]:
        if isinstance(image, Image.Image):
            image = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
        if isinstance(image, torch.Tensor):
            array = image.detach().cpu().numpy()
            array = array[None] if array.ndim == 2 else array
        else:
            array = channels_first(np.asarray(image)[None], "the image")[0]
        if array.ndim != 3:
            raise DataError(f"an image must be (channels, height, width); this is {array.shape}.")
        return np.ascontiguousarray(array if array.dtype == np.uint8 else to_pixels(np.array(array)).numpy())
