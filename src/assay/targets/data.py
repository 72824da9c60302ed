"""Labelled images behind one interface, whether they lie in memory or are streamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.digests import digest_arrays, digest_json
from assay.base.errors import DataError

Shape = tuple[int, int, int]


class Batch(NamedTuple):
    """Images float32 (n, channels, height, width) in [0, 1], and labels int64 (n,)."""

    images: torch.Tensor
    labels: torch.Tensor


@runtime_checkable
class Images(Protocol):
    """A labelled image set. ``labels`` int64 (n,), always in memory; images are read when asked for.

    ``shape`` is (channels, height, width); ``digest`` names the content, so that results can be keyed by it.
    """

    name: str
    shape: Shape
    labels: NDArray[np.int64]
    digest: str

    def __len__(self) -> int: ...

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The images of some rows, float32 (k, channels, height, width) in [0, 1]."""
        ...


def to_pixels(images: Any) -> torch.Tensor:
    """uint8 0..255, or floats already in [0, 1], as float32 in [0, 1].

    Raises:
        DataError: if floats lie outside [0, 1] or are not finite.
    """
    tensor = torch.as_tensor(images)
    if tensor.dtype == torch.uint8:
        return tensor.to(torch.float32).div_(255.0)
    if not tensor.is_floating_point():
        raise DataError(f"Images must be uint8 or floats in [0, 1]; these are {tensor.dtype}.")
    tensor = tensor.to(torch.float32)
    low, high = (float(tensor.min()), float(tensor.max())) if tensor.numel() else (0.0, 0.0)
    if not (low >= 0.0 and high <= 1.0):
        raise DataError(f"Images must lie in [0, 1] (or be uint8); these span [{low:g}, {high:g}].")
    return tensor


class ArrayImages:
    """Images in memory, uint8 or float32 in [0, 1], (n, channels, height, width)."""

    def __init__(self, images: NDArray[Any], labels: NDArray[Any], name: str) -> None:
        """Take arrays as they are, without a copy.

        Raises:
            DataError: if shapes disagree, there are no images, or pixels are out of range.
        """
        if images.ndim != 4:
            raise DataError(f"{name}: images must be (n, channels, height, width); these are {images.shape}.")
        if len(images) != len(labels):
            raise DataError(f"{name}: {len(images)} images but {len(labels)} labels.")
        if len(images) == 0:
            raise DataError(f"{name} holds no images.")
        if images.dtype != np.uint8:
            images = to_pixels(images).numpy()
        self.name = name
        self.images = images
        self.labels = np.asarray(labels, dtype=np.int64)
        self.shape: Shape = (images.shape[1], images.shape[2], images.shape[3])
        self.digest = digest_arrays(images=images, labels=self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """See `Images.take`."""
        return to_pixels(self.images[rows])


class Subset:
    """Some rows of a set, in the order given."""

    def __init__(self, source: Images, rows: Sequence[int] | NDArray[np.int64], name: str | None = None) -> None:
        self.source = source
        self.rows = np.asarray(rows, dtype=np.int64)
        if len(self.rows) == 0:
            raise DataError(f"An empty part of {source.name} was asked for.")
        self.name = name or source.name
        self.shape = source.shape
        self.labels = source.labels[self.rows]
        self.digest = digest_json({"of": source.digest, "rows": digest_arrays(rows=self.rows)})

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """See `Images.take`."""
        return self.source.take(self.rows[rows])


class Fitted:
    """A set made to fit another input: grey to colour or back, resized bilinearly with anti-aliasing."""

    def __init__(self, source: Images, shape: Shape) -> None:
        self.source = source
        self.name = f"{source.name} as {shape[0]}x{shape[1]}x{shape[2]}"
        self.shape = shape
        self.labels = source.labels
        self.digest = digest_json({"of": source.digest, "fitted": list(shape)})

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """See `Images.take`."""
        return fit(self.source.take(rows), self.shape)


def fit(images: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Images (n, c, h, w) in [0, 1] as (n, *shape): luma for colour to grey, repetition for grey to colour."""
    channels, height, width = shape
    if images.shape[1] == 3 and channels == 1:
        luma = torch.tensor([0.299, 0.587, 0.114], dtype=images.dtype).view(1, 3, 1, 1)
        images = (images * luma).sum(dim=1, keepdim=True)
    elif images.shape[1] == 1 and channels == 3:
        images = images.expand(-1, 3, -1, -1)
    elif images.shape[1] != channels:
        raise DataError(f"Images with {images.shape[1]} channels cannot be made into {channels} channels.")
    if images.shape[-2:] != (height, width):
        images = torch.nn.functional.interpolate(images, (height, width), mode="bilinear", antialias=True)
    return images.clamp(0.0, 1.0)


def batches(images: Images, size: int = 256) -> Iterator[Batch]:
    """All of a set, in order."""
    for start in range(0, len(images), size):
        rows = np.arange(start, min(start + size, len(images)))
        yield Batch(images.take(rows), torch.from_numpy(images.labels[rows]))
