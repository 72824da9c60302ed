"""Services beside each other on the same examples: accuracy, agreement, price and calibration, with intervals."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.access.recorded import RecordedSet, Recording
from assay.analysis.calibration import Calibration, calibration
from assay.analysis.correlation import holm
from assay.analysis.difference import PairedShares, paired_shares
from assay.base.intervals import Bounds, wilson

ROUNDED = 1e-5
"""What recorded confidences were rounded to, generously: one over seven, written as 0.142857, is not below it."""


class Service(NamedTuple):
    """One service: ``right`` of ``n`` examples; those that it did not answer are wrong.

    ``magnitudes`` is the share of its answers whose confidence is below one over the number of classes, which no
    posterior of the most likely class can be. ``calibration`` is over its answers, None where no confidence was
    recorded.
    """

    name: str
    n: int
    right: int
    accuracy: float
    interval: Bounds
    unanswered: int
    price_per_10k: float | None
    magnitudes: float | None
    calibration: Calibration | None


class Pair(NamedTuple):
    """Two services: the share of examples with the same answer (none counts as one), and which of them is right more.

    ``difference`` compares their accuracies, the second less the first; ``holm`` adjusts its p over all pairs.
    """

    first: str
    second: str
    same: int
    agreement: float
    interval: Bounds
    difference: PairedShares
    holm: float


class Comparison(NamedTuple):
    """All services of a set, in its order, and all pairs. ``best`` are those that none beats in accuracy and price."""

    name: str
    n: int
    num_classes: int
    services: list[Service]
    pairs: list[Pair]
    best: list[str]


def compare(recorded: RecordedSet, seed: int = 0) -> Comparison:
    """Everything that the answers of a set tell; ``seed`` is of the resamples."""
    truth = recorded.truth
    services = [_service(one, one.labels == truth, seed) for one in recorded.recordings]
    found = []
    for first, second in combinations(recorded.recordings, 2):
        same = int((first.labels == second.labels).sum())
        difference = paired_shares(first.labels == truth, second.labels == truth)
        names = (label(first), label(second))
        found.append(Pair(*names, same, same / len(truth), wilson(same, len(truth)), difference, 1.0))
    adjusted = holm([pair.difference.p for pair in found])
    pairs = [pair._replace(holm=float(p)) for pair, p in zip(found, adjusted, strict=True)]
    classes = recorded.recordings[0].num_classes
    return Comparison(recorded.name, len(truth), classes, services, pairs, worth_their_price(services))


def label(recording: Recording) -> str:
    """What a service is called beside others: its name, and the date where there is one."""
    return f"{recording.service} {recording.date}".rstrip()


def worth_their_price(services: list[Service]) -> list[str]:
    """Services to which no other is both as accurate and as cheap and better in one; those without a price are left."""
    priced = [(one.name, one.accuracy, one.price_per_10k) for one in services if one.price_per_10k is not None]
    return [
        name
        for name, accuracy, price in priced
        if not any(a >= accuracy and p <= price and (a, p) != (accuracy, price) for _, a, p in priced)
    ]


def _service(recording: Recording, right: NDArray[np.bool_], seed: int) -> Service:
    hits, n, answered, sure = int(right.sum()), len(right), recording.answered(), recording.confidence
    magnitudes = curve = None
    if sure is not None and answered.any():
        magnitudes = float((sure[answered] < 1 / recording.num_classes - ROUNDED).mean())
        curve = calibration(sure[answered], right[answered], seed)
    return Service(
        name=label(recording),
        n=n,
        right=hits,
        accuracy=hits / n,
        interval=wilson(hits, n),
        unanswered=int((~answered).sum()),
        price_per_10k=recording.price_per_10k,
        magnitudes=magnitudes,
        calibration=curve,
    )
