"""One service at several dates: what changed, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from assay.access.recorded import Recording
from assay.analysis.correlation import holm
from assay.analysis.difference import PairedShares, paired_shares
from assay.base.errors import DataError, UsageError
from assay.base.intervals import Bounds, wilson

LEVEL = 0.05
"""A change is called one below this p-value, adjusted over all that were looked at together."""

MOST_MOVES = 5


class ClassChange(NamedTuple):
    """Examples of one true class before and after; ``changed`` got another answer.

    ``holm`` adjusts p over all classes of all periods.
    """

    label: int
    accuracy: PairedShares
    changed: int
    holm: float


class Move(NamedTuple):
    """So many answers that were one class (-1: none) became another."""

    before: int
    after: int
    examples: int


class Change(NamedTuple):
    """One service between two dates, on the ``n`` examples asked at both; ``left_out`` were asked at one of them.

    ``holm`` adjusts the p of the accuracy over all periods. ``moves`` are the most frequent.
    """

    before: str
    after: str
    n: int
    left_out: int
    changed: int
    interval: Bounds
    accuracy: PairedShares
    holm: float
    classes: list[ClassChange]
    moves: list[Move]

    @property
    def significant(self) -> list[int]:
        """The classes whose accuracy changed."""
        return [one.label for one in self.classes if one.holm < LEVEL]


def changes(recordings: Sequence[Recording], truth: Mapping[str, int]) -> list[Change]:
    """From each date to the next, in the order of dates, on examples that have a true label.

    A service that answers always alike changes for certain as soon as one answer does; the tests tell whether it became
    better or worse on examples such as these.

    Raises:
        UsageError: if there are not two recordings, or they are not of one service and data set at different dates.
        DataError: if two dates have no labelled example in common.
    """
    if len(recordings) < 2:
        raise UsageError("A change needs recordings of at least two dates.")
    if len({(one.service, one.dataset) for one in recordings}) > 1:
        names = ", ".join(sorted({f"{one.service} on {one.dataset}" for one in recordings}))
        raise UsageError(f"These are recordings of different services or data sets: {names}.")
    ordered = sorted(recordings, key=lambda one: one.date)
    if len({one.date for one in ordered}) < len(ordered):
        raise UsageError(f"Two recordings of {ordered[0].service} have the same date.")
    found = [_change(before, after, truth) for before, after in pairwise(ordered)]
    overall = holm([one.accuracy.p for one in found])
    by_class = iter(holm([part.accuracy.p for one in found for part in one.classes]))
    return [
        one._replace(holm=float(p), classes=[part._replace(holm=float(next(by_class))) for part in one.classes])
        for one, p in zip(found, overall, strict=True)
    ]


def _change(before: Recording, after: Recording, truth: Mapping[str, int]) -> Change:
    earlier = dict(zip(before.examples, before.labels.tolist(), strict=True))
    later = dict(zip(after.examples, after.labels.tolist(), strict=True))
    shared = [example for example in earlier if example in later and example in truth]
    if not shared:
        raise DataError(f"{before.name} and {after.name} have no labelled example in common.")
    first, second, true = (np.array([column[example] for example in shared]) for column in (earlier, later, truth))
    moved = first != second
    classes = [
        ClassChange(int(label), paired_shares(first[rows] == label, second[rows] == label), int(moved[rows].sum()), 1.0)
        for label in np.unique(true)
        for rows in [true == label]
    ]
    kinds, counts = np.unique(np.stack([first[moved], second[moved]], axis=1), axis=0, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:MOST_MOVES]
    moves = [Move(int(kinds[i, 0]), int(kinds[i, 1]), int(counts[i])) for i in most]
    return Change(
        before=before.date,
        after=after.date,
        n=len(shared),
        left_out=len(earlier.keys() | later.keys()) - len(shared),
        changed=int(moved.sum()),
        interval=wilson(int(moved.sum()), len(shared)),
        accuracy=paired_shares(first == true, second == true),
        holm=1.0,
        classes=classes,
        moves=moves,
    )
