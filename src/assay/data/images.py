"""Labelled images behind one interface, in memory or streamed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.digests import digest_arrays, digest_json, give_back
from assay.base.errors import AssayError, DataError

T = TypeVar("T")

Shape = tuple[int, int, int]
"""Channels, height, width."""


class Batch(NamedTuple):
    """Images float32 (n, channels, height, width) in [0, 1], and labels int64 (n,)."""

    images: torch.Tensor
    labels: torch.Tensor


@runtime_checkable
class Images(Protocol):
    """A labelled image set. ``labels`` int64 (n,), always in memory; images are read on demand.

    ``shape`` is (channels, height, width); ``digest`` identifies the content in keys of results.
    """

    name: str
    shape: Shape
    labels: NDArray[np.int64]
    digest: str

    def __len__(self) -> int: ...

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The images of some rows, float32 (k, channels, height, width) in [0, 1]."""
        ...


def shape_text(shape: Sequence[int]) -> str:
    """A shape as text: ``3x32x32``."""
    return "x".join(map(str, shape))


def to_pixels(images: Any) -> torch.Tensor:
    """Convert uint8 (0 to 255) or floats in [0, 1] to float32 in [0, 1].

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
    if math.isnan(low):
        raise DataError("Images must lie in [0, 1] (or be uint8); some pixels are NaN.")
    if not (low >= 0.0 and high <= 1.0):
        hint = "; divide them by 255" if low >= 0.0 and high <= 255.0 else ""
        raise DataError(f"Images must lie in [0, 1] (or be uint8); these span [{low:g}, {high:g}]{hint}.")
    return tensor


UNLABELLED = -1
"""The label of a sample whose true one is not known: every sample of recorded answers without labels."""


def is_labelled(part: Images) -> bool:
    """Whether the true labels of a part are known."""
    return not len(part) or int(part.labels.min()) != UNLABELLED


def check_labels(labels: Any, count: int, name: str) -> NDArray[np.int64]:
    """Labels as int64 (count,); `UNLABELLED` all of them where they are None.

    Raises:
        DataError: if they are not one class number of 0 or more for each image.
    """
    if labels is None:
        return np.full(count, UNLABELLED, np.int64)
    checked = np.asarray(labels)
    if checked.ndim != 1:
        hint = "; for one-hot rows take argmax(axis=1)" if checked.ndim == 2 else ""
        raise DataError(f"{name}: labels must be one class number per image; these are {checked.shape}{hint}.")
    if len(checked) != count:
        raise DataError(f"{name}: {count} images but {len(checked)} labels.")
    if checked.dtype.kind not in "iub":
        raise DataError(f"{name}: labels must be whole numbers; these are {checked.dtype}.")
    if count and checked.min() < 0:
        raise DataError(f"{name}: image {int(checked.argmin())} has the label {checked.min()}; classes start at 0.")
    return checked.astype(np.int64, copy=False)


class ArrayImages:
    """Images in memory, uint8 or float32 in [0, 1], (n, channels, height, width)."""

    def __init__(self, images: NDArray[Any], labels: Any, name: str) -> None:
        """Wrap arrays; uint8 arrays are not copied, whatever their strides.

        Raises:
            DataError: if shapes disagree, there are no images, pixels are out of range, or a label is not a class.
        """
        if images.ndim != 4:
            raise DataError(f"{name}: images must be (n, channels, height, width); these are {images.shape}.")
        if images.size == 0:
            raise DataError(f"{name} holds no images.")
        self.name = name
        self.images = images if images.dtype == np.uint8 else _checked_floats(images, name)
        self.labels = check_labels(labels, len(images), name)
        self.shape: Shape = (images.shape[1], images.shape[2], images.shape[3])
        self.digest = digest_arrays(images=self.images, labels=self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The images of some rows, float32 (k, channels, height, width) in [0, 1]."""
        chosen = torch.from_numpy(self.images[rows]).contiguous()
        give_back(self.images)
        return to_pixels(chosen) if chosen.dtype == torch.uint8 else chosen


def _checked_floats(images: NDArray[Any], name: str) -> NDArray[np.float32]:
    if images.dtype.kind != "f":
        raise DataError(f"{name}: images must be uint8 or floats in [0, 1]; these are {images.dtype}.")
    try:
        return to_pixels(torch.tensor(images)).numpy()
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


class Subset:
    """Some rows of a set, in the order given."""

    def __init__(self, source: Images, rows: Sequence[int] | NDArray[np.int64], name: str | None = None) -> None:
        """Choose rows, 0 to n - 1; a row may come twice.

        Raises:
            DataError: if no row, or one that is not there, is asked for.
        """
        self.source = source
        self.rows = np.asarray(rows, dtype=np.int64)
        if len(self.rows) == 0:
            raise DataError(f"An empty part of {source.name} was asked for.")
        if self.rows.min() < 0 or self.rows.max() >= len(source):
            raise DataError(
                f"Rows {self.rows.min()} to {self.rows.max()} of {source.name} were asked for; it has {len(source)}."
            )
        self.name = name or source.name
        self.shape = source.shape
        self.labels = source.labels[self.rows]
        self.digest = digest_json({"of": source.digest, "rows": digest_arrays(rows=self.rows)})

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The images of some rows of the subset, float32 (k, channels, height, width) in [0, 1]."""
        return self.source.take(self.rows[rows])


class Joined:
    """Sets of one shape, one after another."""

    def __init__(self, first: Images, second: Images) -> None:
        """Join two sets.

        Raises:
            DataError: if their images differ in shape.
        """
        if first.shape != second.shape:
            shapes = f"{shape_text(first.shape)} and {shape_text(second.shape)}"
            raise DataError(f"{first.name} and {second.name} cannot be joined: their images are {shapes}.")
        self.parts = (first, second)
        self.name = f"{first.name} and {second.name}"
        self.shape = first.shape
        self.labels = np.concatenate([first.labels, second.labels])
        self.digest = digest_json({"joined": [first.digest, second.digest]})

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The images of some rows, counted through both sets, float32 (k, channels, height, width) in [0, 1]."""
        first, second = self.parts
        early = rows < len(first)
        images = torch.empty((len(rows), *self.shape))
        for part, chosen, offset in ((first, early, 0), (second, ~early, len(first))):
            if chosen.any():
                images[torch.from_numpy(chosen)] = part.take(rows[chosen] - offset)
        return images


class Fitted:
    """A set converted to another input shape: grey to colour or back, resized bilinearly with anti-aliasing."""

    def __init__(self, source: Images, shape: Shape) -> None:
        """Convert a set to (channels, height, width), as `fit` does.

        Raises:
            DataError: if its channels cannot be made into those.
        """
        _check_channels(source.shape[0], shape[0])
        self.source = source
        self.name = f"{source.name} as {shape_text(shape)}"
        self.shape = shape
        self.labels = source.labels
        self.digest = digest_json({"of": source.digest, "fitted": list(shape)})

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The images of some rows after conversion, float32 (k, *shape) in [0, 1]."""
        return fit(self.source.take(rows), self.shape)


LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the grey value (ITU-R BT.601)."""


def _check_channels(given: int, wanted: int) -> None:
    if given != wanted and {given, wanted} != {1, 3}:
        raise DataError(f"Images with {given} channels cannot be made into {wanted} channels.")


def fit(images: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Images (n, c, h, w) in [0, 1] as (n, *shape): luma for colour to grey, repetition for grey to colour.

    Another height or width is reached by bilinear interpolation, with anti-aliasing where it shrinks.

    Raises:
        DataError: if the channels are neither equal nor 1 and 3.
    """
    channels, height, width = shape
    _check_channels(images.shape[1], channels)
    if images.shape[1] > channels:
        images = (images * torch.tensor(LUMA, dtype=images.dtype).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    elif images.shape[1] < channels:
        images = images.expand(-1, channels, -1, -1)
    if images.shape[-2:] != (height, width):
        images = torch.nn.functional.interpolate(images, (height, width), mode="bilinear", antialias=True)
    return images.clamp(0.0, 1.0)


class _Indexed(torch.utils.data.Dataset[Any]):
    def __init__(self, make: Callable[[int], Any], count: int) -> None:
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        try:
            return self.make(index)
        except AssayError as error:
            return error  # raised in the main process, without the worker's traceback in its sentence


def in_order(make: Callable[[int], T], count: int, workers: int = 0) -> Iterator[T]:
    """``make(0)`` to ``make(count - 1)``, by a DataLoader.

    ``workers`` processes work ahead, and ``make`` must then be picklable; with 0 each is made when it is asked for.
    The order is the same, and no global random generator is touched.
    """
    loader = torch.utils.data.DataLoader(
        _Indexed(make, count),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),
    )
    for item in loader:
        if isinstance(item, AssayError):
            raise item
        yield item


def _as_it_is(item: Any) -> Any:
    return item


def batches(images: Images, size: int = 256, workers: int = 0) -> Iterator[Batch]:
    """All of a set in order, ``size`` images at a time; ``workers`` (as in `in_order`) speed up streamed sets only."""
    return in_order(partial(_batch, images, size), math.ceil(len(images) / size), workers)


def _batch(images: Images, size: int, index: int) -> Batch:
    rows = np.arange(index * size, min((index + 1) * size, len(images)))
    return Batch(images.take(rows), torch.from_numpy(images.labels[rows]))


def drawn(images: Images, most: int, generator: torch.Generator) -> Subset:
    """At most ``most`` images, drawn without replacement, in their original order."""
    order = torch.randperm(len(images), generator=generator)
    return Subset(images, order[:most].sort().values.numpy())
