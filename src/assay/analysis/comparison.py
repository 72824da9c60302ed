"""Two models or methods beside each other: by how much they differ, and whether that can be chance."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from assay.analysis.correlation import holm
from assay.analysis.difference import (
    auc_difference,
    enough,
    independent,
    mcnemar,
    normal_p,
    paired,
    placements,
    sign_changes,
)
from assay.analysis.samples import Aligned
from assay.analysis.scored import Contest, Scored
from assay.base.intervals import Bounds, Floats
from assay.methods.metric import Metric

ALPHA = 0.025
"""On either side of a 95 % interval."""


class Pair(NamedTuple):
    """One contestant less another: the difference, its 95 % interval, p-value and Holm's p over all pairs.

    ``n`` samples count for both; 0 where published numbers are compared. ``only_first`` and ``only_second`` count the
    samples on which one scores more than the other, None where that is not counted. Interval and p-values are None
    where the numbers have no interval; ``test`` then says so.
    """

    first: str
    second: str
    difference: float
    interval: Bounds | None
    n: int
    only_first: int | None
    only_second: int | None
    p: float | None
    test: str
    holm: float | None = None


def compare(contest: Contest, seed: int = 0) -> list[Pair]:
    """All pairs of contestants, in their order, each on the samples that count for both under all their seeds.

    Means of samples: each sample's mean over seeds, interval of `difference.paired`; McNemar's exact test where a
    sample can only be won or lost, else 10,000 random changes of sign. Areas under ROC curves: DeLong's paired test.
    Fewer shared samples than `difference.enough` asks for, and numbers without samples: the published numbers as if
    from separate samples, their intervals combined. Intervals speak of other samples, not of other seeds.
    """
    pairs, waiting = [], defaultdict(list)
    for a, b in combinations(contest.contestants, 2):
        shared = _shared(contest, a, b)
        if a.metrics and (contest.kind == "published" or not enough(shared)):
            pairs.append(_published(a, b))
        elif shared.positive is not None:
            pairs.append(_auc(a, b, shared))
        else:
            pair, changes = _means(contest, a, b, shared)
            if pair.p is None and pair.interval is not None:
                waiting[len(changes), pair.n].append((len(pairs), changes))
            pairs.append(pair)
    for group in waiting.values():
        found = sign_changes(np.array([changes for _, changes in group]), seed)
        for (place, _), p in zip(group, found, strict=True):
            pairs[place] = pairs[place]._replace(p=float(p))
    tested = [place for place, pair in enumerate(pairs) if pair.p is not None]
    for place, p in zip(tested, holm([pairs[place].p or 0.0 for place in tested]), strict=True):
        pairs[place] = pairs[place]._replace(holm=float(p))
    return pairs


def _shared(contest: Contest, a: Scored, b: Scored) -> Aligned:
    """The samples of all seeds of two contestants, (seeds of a + seeds of b, n)."""
    return Aligned(np.concatenate([a.values, b.values]), contest.positive).shared()


def _means(contest: Contest, a: Scored, b: Scored, shared: Aligned) -> tuple[Pair, Floats]:
    first, second = (rows.mean(axis=0) for rows in np.split(shared.values, [len(a.seeds)]))
    changes = first - second
    if len(changes) < 2:
        few = "none: fewer than two shared samples"
        value = float(changes.mean()) if len(changes) else float("nan")
        return Pair(a.name, b.name, value, None, len(changes), None, None, None, few), changes
    won, lost = int((changes > 0).sum()), int((changes < 0).sum())
    exact = bool(np.isin(np.concatenate([first, second]), (0.0, 1.0)).all())
    bounds = paired(first, second, contest.scale, ALPHA)
    interval = Bounds(bounds.low or 0.0, bounds.high or 0.0, 0.95, "Agresti-Min" if exact else "Student's t")
    p, test = (mcnemar(won, lost), "McNemar, exact") if exact else (None, "changes of sign")
    return Pair(a.name, b.name, bounds.value, interval, len(changes), won, lost, p, test), changes


def _auc(a: Scored, b: Scored, shared: Aligned) -> Pair:
    positive = shared.positive if shared.positive is not None else np.zeros(0, dtype=np.bool_)
    if min(positive.sum(), (~positive).sum()) < 2:
        few = "none: fewer than two shared samples of either kind"
        return Pair(a.name, b.name, float("nan"), None, len(positive), None, None, None, few)
    placed = np.array([placements(scores, positive) for scores in shared.values])
    first, second = (rows.mean(axis=0) for rows in np.split(placed, [len(a.seeds)]))
    value, error = auc_difference(first - second, positive)
    half = float(ndtri(1 - ALPHA)) * error
    interval = Bounds(value - half, value + half, 0.95, "DeLong, paired")
    test = "DeLong, paired"
    return Pair(a.name, b.name, value, interval, len(positive), None, None, normal_p(value, error), test)


def _published(a: Scored, b: Scored) -> Pair:
    found = independent(_mean(a.metrics), _mean(b.metrics), ALPHA)
    if found.low is None or found.high is None:
        return Pair(a.name, b.name, found.value, None, 0, None, None, None, "none: a number has no interval")
    interval = Bounds(found.low, found.high, 0.95, "two intervals combined")
    towards = found.value - found.low if found.value > 0 else found.high - found.value
    if towards == 0 and found.value != 0:
        return Pair(a.name, b.name, found.value, interval, 0, None, None, None, "none: an interval has no width")
    p = normal_p(found.value, towards / float(ndtri(1 - ALPHA)))
    return Pair(a.name, b.name, found.value, interval, 0, None, None, p, "as independent, normal approximation")


def _mean(metrics: tuple[Metric, ...]) -> Metric:
    """The mean of a number over seeds, with the mean of its bounds: the seeds share their samples."""
    if len(metrics) == 1:
        return metrics[0]
    value = fmean(metric.value for metric in metrics if metric.value is not None)
    intervals = [metric.interval for metric in metrics if metric.interval is not None]
    if len(intervals) < len(metrics):
        return metrics[0].model_copy(update={"value": value, "interval": None, "n": None})
    low, high = fmean(one.low for one in intervals), fmean(one.high for one in intervals)
    return metrics[0].model_copy(
        update={
            "value": value,
            "n": None,
            "interval": intervals[0].model_copy(update={"low": low, "high": high, "method": "mean over seeds"}),
        }
    )
