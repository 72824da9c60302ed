"""What shadow models say of each example, those that were trained on it apart from those that were not.

Shadow values are floats (models, examples) or (models, examples, queries); ``inside`` is bool (models, examples), true
where that model was trained on that example.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import DataError
from assay.base.intervals import Floats

Bools = NDArray[np.bool_]
Values = NDArray[np.floating[Any]]

TRAINED, UNTRAINED = "trained on it", "not trained on it"
"""IN and OUT models of an example."""

BLOCK = 4096
"""Examples taken at a time: their values stay in the processor's cache, and copies of them are small."""


def with_queries(target: Values, shadows: Values, inside: Bools) -> tuple[Floats, Floats]:
    """Target values as float64 (examples, queries) and shadow values as float64 (models, examples, queries).

    Raises:
        DataError: if the shapes disagree, or a value is NaN or infinite.
    """
    one, many = np.asarray(target, np.float64), np.asarray(shadows, np.float64)
    if many.shape[1:] != one.shape or inside.shape != many.shape[:2] or one.ndim not in (1, 2):
        raise DataError(
            f"Values of the target {one.shape}, of the shadow models {many.shape} and memberships {inside.shape} "
            "disagree; they must be (examples, queries), (models, examples, queries) and (models, examples)."
        )
    if not (np.isfinite(one).all() and np.isfinite(many).all()):
        raise DataError("Values of the target or of the shadow models hold NaN or infinity.")
    return one.reshape(len(one), -1), many.reshape(*many.shape[:2], -1)


def chosen_values(shadows: Floats, chosen: Bools, fewest: int, kind: str) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Values of the chosen models, (models, examples, queries), by groups of examples with equally many of them.

    Yields the examples of a group, at most `BLOCK`, and their values (examples of the group, queries, chosen models),
    examples and models in order.

    Raises:
        DataError: if an example has fewer than ``fewest`` chosen models; ``kind`` names them, `TRAINED` or `UNTRAINED`.
    """
    counts = chosen.sum(axis=0)
    if len(counts) and counts.min() < fewest:
        raise DataError(
            f"Example {int(counts.argmin())} has {counts.min()} shadow models {kind}; at least {fewest} are needed. "
            "Train more shadow models."
        )
    for count in np.unique(counts):
        group = np.flatnonzero(counts == count)
        for start in range(0, len(group), BLOCK):
            rows = group[start : start + BLOCK]
            everything = shadows.transpose(1, 2, 0)[rows]
            kept = np.broadcast_to(chosen.T[rows][:, None, :], everything.shape)
            yield rows, everything[kept].reshape(*everything.shape[:2], int(count))


def medians(values: Floats) -> Floats:
    """Medians along the last axis, by sorting: several times faster than NumPy's for a few dozen values."""
    ordered, count = np.sort(values, axis=-1), values.shape[-1]
    return np.asarray((ordered[..., (count - 1) // 2] + ordered[..., count // 2]) / 2)
