"""Posteriors that were answered elsewhere: checked, and read as rows without all of them in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.digests import blocks, digest_arrays, digest_json, give_back
from assay.base.errors import DataError
from assay.data.images import Shape, check_labels

BLOCK = 16 << 20
"""Bytes of posteriors that are checked at a time."""


class PosteriorRows:
    """Recorded answers in the place of images: one row of ``classes`` pixels each, summing to 1.

    The posteriors may be memory-mapped. All rows are checked once, block by block; they are normalised as they are
    read, so that only what is asked for is in memory. ``content`` is the SHA-256 of the posteriors alone.
    """

    def __init__(self, posteriors: NDArray[Any], labels: Any, name: str) -> None:
        """Wrap posteriors (n, classes) of any numeric type, and labels (n,).

        Raises:
            DataError: if there are none, a row is not finite, negative, or does not sum to 1 within 0.001, or a label
                is no class.
        """
        if posteriors.ndim != 2 or len(posteriors) == 0:
            raise DataError(f"{name}: posteriors must be (samples, classes); these are {posteriors.shape}.")
        first = 0
        for block in blocks(posteriors, BLOCK):
            _sums(block.astype(np.float32, copy=False), name, first)
            first += len(block)
        self.posteriors = posteriors
        self.labels = check_labels(labels, len(posteriors), name)
        self.name = name
        self.shape: Shape = (1, 1, posteriors.shape[1])
        self.content = digest_arrays(posteriors=posteriors)
        self.digest = digest_json({"posteriors": self.content, "labels": digest_arrays(labels=self.labels)})

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The answers of some rows, float32 (k, 1, 1, classes)."""
        chosen = np.asarray(self.posteriors[rows], np.float32)
        give_back(self.posteriors)
        return torch.from_numpy(_normalised(chosen, _sums(chosen, self.name, 0))).reshape(-1, *self.shape)


def check_posteriors(posteriors: NDArray[Any], count: int, classes: int, name: str) -> NDArray[np.float32]:
    """Posteriors as float32 (count, classes), their rows scaled to a sum of 1.

    Raises:
        DataError: if the shape differs, or a row is not finite, negative, or does not sum to 1 within 0.001.
    """
    if posteriors.shape != (count, classes):
        raise DataError(f"{name}: posteriors must be ({count}, {classes}); these are {posteriors.shape}.")
    checked = posteriors.astype(np.float32)
    return _normalised(checked, _sums(checked, name, 0))


def posteriors_to_logits(posteriors: NDArray[Any], count: int, classes: int, name: str) -> torch.Tensor:
    """Logits whose softmax is the posteriors: their logarithm, zeros taken as 1e-30."""
    checked = check_posteriors(np.asarray(posteriors), count, classes, name)
    return torch.log(torch.from_numpy(checked).clamp_min(1e-30))


def _normalised(posteriors: NDArray[np.float32], sums: NDArray[np.float64]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = (posteriors / sums[:, None]).astype(np.float32)
    return scaled


def _sums(posteriors: NDArray[np.float32], name: str, first: int) -> NDArray[np.float64]:
    """The rows' sums; ``first`` is the number of the first row, for messages.

    Raises:
        DataError: if a row is not finite, negative, or does not sum to 1 within 0.001.
    """
    sums: NDArray[np.float64] = posteriors.sum(axis=1, dtype=np.float64)
    # A NaN or an infinity anywhere makes its row's sum one, so that the sums and the minimum look at every number.
    if len(posteriors) and np.isfinite(sums).all() and posteriors.min() >= 0 and (np.abs(sums - 1.0) <= 1e-3).all():
        return sums
    finite = np.isfinite(posteriors).all(axis=1)
    if not finite.all():
        raise DataError(f"{name}: posteriors hold NaN or infinity (row {first + int(np.argmin(finite))}).")
    bad = (posteriors < 0).any(axis=1) | (np.abs(sums - 1.0) > 1e-3)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{name}: posteriors must be non-negative and sum to 1; row {first + row} sums to {sums[row]:.4g}. "
            "Apply a softmax if these are logits."
        )
    return sums
