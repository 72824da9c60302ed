"""Vectors of features as a data set: raw numbers, asked about in the unit cube that the data span."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.digests import digest_arrays, digest_json
from assay.base.errors import DataError
from assay.data.images import Fitted, Images, Joined, Shape, Subset, check_labels


class Box(NamedTuple):
    """The least and the greatest value of each feature, float64 (features,)."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def digest(self) -> str:
        """SHA-256 of the bounds."""
        return digest_arrays(low=self.low, high=self.high)

    def rows(self, vectors: NDArray[np.float32]) -> torch.Tensor:
        """Vectors (n, features) as float32 (n, 1, 1, features) in [0, 1]; a constant feature becomes 0."""
        span = np.where(self.high > self.low, self.high - self.low, 1.0)
        scaled = ((vectors - self.low) / span).clip(0.0, 1.0).astype(np.float32)
        return torch.from_numpy(scaled)[:, None, None, :]

    def vectors(self, rows: torch.Tensor) -> torch.Tensor:
        """The way back: rows in [0, 1] to float32 of the same shape, right to 1e-7 of each feature's range."""
        low, high = (torch.as_tensor(bound, device=rows.device) for bound in self)
        return (low + rows.double() * (high - low)).float()

    def joined(self, other: Box) -> Box:
        """The least box that holds both.

        Raises:
            DataError: if they have different numbers of features.
        """
        if len(self.low) != len(other.low):
            raise DataError(f"Vectors of {len(self.low)} and of {len(other.low)} features do not belong together.")
        return Box(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


class Vectors:
    """Labelled vectors in memory, float32 (n, features), an `Images` of shape (1, 1, features).

    Methods see every feature scaled to [0, 1] over ``box``, by default the range of these vectors: distances, noise and
    bounds then mean the same for all features. `Target.with_splits` brings all parts of a target to one box, and turns
    what is asked back into raw features before the model sees it.
    """

    def __init__(
        self,
        vectors: NDArray[np.number],
        labels: NDArray[np.integer],
        name: str,
        box: Box | None = None,
        features: Sequence[str] = (),
    ) -> None:
        """Wrap arrays.

        Raises:
            DataError: if there is no vector, a number is not finite in float32, or labels do not fit.
        """
        if vectors.ndim != 2 or vectors.size == 0 or vectors.dtype.kind not in "fiub":
            raise DataError(
                f"{name}: vectors must be numbers (n, features); these are {vectors.dtype} {vectors.shape}."
            )
        with np.errstate(over="ignore"):
            self.vectors = vectors.astype(np.float32)
        if not np.isfinite(self.vectors).all():
            row, column = np.argwhere(~np.isfinite(self.vectors))[0]
            what = features[column] if features else f"feature {column}"
            raise DataError(f"{name}: {what} of row {row} is no finite number: fill it in, or leave the row out.")
        self.name = name
        self.labels = check_labels(labels, len(vectors), name)
        self.features = tuple(features)
        self.shape: Shape = (1, 1, vectors.shape[1])
        wide = self.vectors.astype(np.float64)
        self.box = box or Box(wide.min(axis=0), wide.max(axis=0))
        self.digest = digest_json(
            {"vectors": digest_arrays(vectors=self.vectors, labels=self.labels), "box": self.box.digest}
        )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Some rows, float32 (k, 1, 1, features), scaled to [0, 1] over the box."""
        return self.box.rows(self.vectors[rows])


def box_of(images: Images) -> Box:
    """The box of vectors, whatever they are wrapped in; the least that holds all where sets are joined.

    Raises:
        DataError: if they are not vectors.
    """
    if isinstance(images, Vectors):
        return images.box
    if isinstance(images, Joined):
        return reduce(Box.joined, map(box_of, images.parts))
    if isinstance(images, Subset):
        return box_of(images.source)
    raise DataError(
        f"{images.name} holds no vectors, which the target reads: for arrays say "
        'assay.data.vectors.Vectors(vectors, labels, "name").'
    )


def within(images: Images, box: Box) -> Images:
    """The same vectors, scaled over another box."""
    if isinstance(images, Vectors):
        return Vectors(images.vectors, images.labels, images.name, box, images.features)
    if isinstance(images, Joined):
        return Joined(within(images.parts[0], box), within(images.parts[1], box))
    if isinstance(images, Subset):
        return Subset(within(images.source, box), images.rows, images.name)
    raise DataError(f"{images.name} holds no vectors.")


def modality_of(images: Images) -> str:
    """``image``, ``text`` or ``vector``: what a set holds."""
    from assay.data.text_rows import Texts

    while isinstance(images, Subset | Fitted | Joined):
        images = images.parts[0] if isinstance(images, Joined) else images.source
    return "vector" if isinstance(images, Vectors) else "text" if isinstance(images, Texts) else "image"


def raw_vectors(images: Images, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Some rows of vectors as the model sees them, (k, features)."""
    return box_of(images).vectors(images.take(rows)).flatten(1).numpy()


def feature_names(images: Images) -> tuple[str, ...]:
    """The names of the features; numbers from 0 where a set has none."""
    while isinstance(images, Subset | Joined):
        images = images.parts[0] if isinstance(images, Joined) else images.source
    known = images.features if isinstance(images, Vectors) else ()
    return known or tuple(f"feature {place}" for place in range(images.shape[2]))
