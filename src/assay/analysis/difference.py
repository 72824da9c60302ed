"""The difference of two models' numbers, with bounds that err as seldom as asked for, and p-values.

An unchanged model that is measured again differs by chance. A gate that compared m numbers with one-sided 97.5 % bounds
would fail it with a probability of up to 1 - 0.975^m: one run in five for ten rules. So the chance of one false alarm
among all comparisons of a run is held at `FALSE_ALARMS`, shared equally among them (Bonferroni).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtr, ndtri, stdtrit

from assay.analysis.samples import Aligned, Column, align
from assay.base.intervals import CHUNK, Bounds, Floats, clopper_pearson, paired_difference
from assay.methods.metric import Interval, Metric

FALSE_ALARMS = 0.001
"""The probability, at most, that a run of the gate fails an unchanged model by any of its comparisons."""

FEWEST_PAIRS = 30
"""Shared samples below which two models are compared as independent."""

FEWEST_OF_EACH = 10
"""Shared samples of either kind (to find and not) below which areas under ROC curves are compared as independent."""

DRAWS = 10_000


class Difference(NamedTuple):
    """New less old, with one-sided bounds: each is wrong with the probability that was asked for. ``how`` in words.

    The bounds are None where one of the two numbers has no interval.
    """

    value: float
    low: float | None
    high: float | None
    how: str


class PairedShares(NamedTuple):
    """Two proportions of the same ``n`` trials, the second less the first.

    ``p`` is McNemar's exact two-sided p-value that both are equal.
    """

    n: int
    first: float
    second: float
    difference: float
    interval: Bounds
    p: float


def tail(comparisons: int) -> float:
    """The probability that one of so many comparisons may err, for all of them together to keep `FALSE_ALARMS`."""
    return FALSE_ALARMS / max(comparisons, 1)


def enough(aligned: Aligned) -> bool:
    """Whether samples that are shared (see `Aligned.shared`) are enough to compare two models by them."""
    of_each = aligned.values.shape[1], 0
    if aligned.positive is not None:
        of_each = int(aligned.positive.sum()), int((~aligned.positive).sum())
    return sum(of_each) >= FEWEST_PAIRS and (aligned.positive is None or min(of_each) >= FEWEST_OF_EACH)


def on_samples(new: Column, old: Column, scale: float, alpha: float) -> Difference | None:
    """The difference on the samples that two models share; None where they are too few (see `enough`)."""
    aligned = align([new, old])
    if aligned is None or not enough(shared := aligned.shared()):
        return None
    if shared.positive is not None:
        return paired_auc(shared.values[0], shared.values[1], shared.positive, alpha)
    return paired(shared.values[0], shared.values[1], scale, alpha)


def independent(new: Metric, old: Metric, alpha: float) -> Difference:
    """The difference of two numbers from separate samples, bounds at 1 - ``alpha`` each.

    The two intervals combined: method of variance estimates recovery (Newcombe, Statistics in Medicine 17 (1998),
    method 10, for shares; Zou and Donner, Statistics in Medicine 27 (2008), for any number). Both metrics need a value.
    Without both intervals there are no bounds. Where the samples are in fact the same, it errs on the side of no alarm.
    """
    if new.value is None or old.value is None:
        raise ValueError(f"{new.name if new.value is None else old.name} has no value")
    difference = new.value - old.value
    if new.interval is None or old.interval is None:
        return Difference(difference, None, None, "numbers without an interval")
    (value, low, high), (before, before_low, before_high) = (_widened(metric, alpha) for metric in (new, old))
    below, above = np.hypot(value - low, before_high - before), np.hypot(high - value, before - before_low)
    return Difference(difference, difference - float(below), difference + float(above), "independent samples")


def paired(new: NDArray[Any], old: NDArray[Any], scale: float, alpha: float) -> Difference:
    """The mean difference of outcomes (n,) of the same n >= 2 samples, times ``scale``, bounds at 1 - ``alpha`` each.

    For outcomes that are 0 or 1: Agresti and Min, Statistics in Medicine 24 (2005), which adds one half to each of the
    four cells of the table of pairs, so that pairs that all agree still leave room. For others: Student's t.
    """
    apart = np.asarray(new, np.float64) - np.asarray(old, np.float64)
    n, difference = len(apart), float(apart.mean())
    if np.isin(new, (0, 1)).all() and np.isin(old, (0, 1)).all():
        changed, net = float(np.abs(apart).sum()), float(apart.sum())
        centre = net / (n + 2)
        error = np.sqrt(changed + 1 - net**2 / (n + 2)) / (n + 2)
        half = float(ndtri(1 - alpha) * error)
    else:
        centre = difference
        half = float(stdtrit(n - 1, 1 - alpha) * apart.std(ddof=1) / np.sqrt(n))
    return Difference(scale * difference, scale * (centre - half), scale * (centre + half), f"{n:,} shared samples")


def paired_auc(new: Floats, old: Floats, positive: NDArray[np.bool_], alpha: float) -> Difference:
    """The difference of two areas under ROC curves of scores (n,) of the same samples, bounds at 1 - ``alpha`` each."""
    value, error = auc_difference(placements(new, positive) - placements(old, positive), positive)
    half = float(ndtri(1 - alpha)) * error
    return Difference(value, value - half, value + half, f"{len(new):,} shared samples")


def placements(scores: Floats, positive: NDArray[np.bool_]) -> Floats:
    """For each sample (n,) the share of the other kind that it is rightly apart from, ties counting one half.

    The mean over the positive is the area under the ROC curve, and so is the mean over the others: the structural
    components of DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988), from ranks (Sun and Xu, IEEE Signal
    Processing Letters 21, 2014).
    """
    below = _ranks(scores)
    for kind in (positive, ~positive):
        below[kind] -= _ranks(scores[kind])
    hits, others = int(positive.sum()), int((~positive).sum())
    return np.where(positive, below / max(others, 1), 1 - below / max(hits, 1))


def auc_difference(apart: Floats, positive: NDArray[np.bool_]) -> tuple[float, float]:
    """A difference of two areas and its standard error, from the differences of `placements` (n,); DeLong, eq. 5."""
    first, second = apart[positive], apart[~positive]
    return float(first.mean()), float(np.sqrt(first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second)))


def normal_p(value: float, error: float) -> float:
    """The two-sided p-value of a number with a standard error, as if normal; 1 for 0, whatever its error."""
    if value == 0:
        return 1.0
    return 2 * float(ndtr(-abs(value) / error)) if error > 0 else 0.0


def paired_shares(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> PairedShares:
    """Compare two columns of successes (n,), n >= 1, row by row."""
    both, lost, won = (int(np.sum(cell)) for cell in (first & second, first & ~second, ~first & second))
    n = len(first)
    bounds = paired_difference(both, won, lost, n - both - lost - won)
    return PairedShares(n, (both + lost) / n, (both + won) / n, (won - lost) / n, bounds, mcnemar(lost, won))


def mcnemar(first: int, second: int) -> float:
    """The exact two-sided p-value that either of two kinds of discordant pairs is as likely as the other.

    McNemar, Psychometrika 12 (1947); twice the smaller tail of a binomial distribution with one half, at most 1.
    """
    return min(1.0, 2 * float(bdtr(min(first, second), first + second, 0.5)))


def sign_changes(changes: Floats, seed: int) -> Floats:
    """Two-sided p-values (k,) of k rows of differences (k, n): how often random signs lead as far from 0.

    Fisher's randomisation test with 10,000 draws, the observed signs counted among them (Phipson and Smyth, SAGMB 9,
    2010).
    """
    if len(changes) == 0:
        return np.zeros(0)
    generator = np.random.default_rng(seed)
    n, observed = changes.shape[1], np.abs(changes.sum(1)) * (1 - 1e-12)
    reached, left = np.ones(len(changes)), DRAWS
    while left:
        count = min(left, max(1, CHUNK // max(n, 1)))
        signs = generator.integers(0, 2, (count, n), dtype=np.int8) * 2.0 - 1.0
        reached += (np.abs(signs @ changes.T) >= observed).sum(0)
        left -= count
    return np.asarray(reached / (DRAWS + 1))


def _ranks(values: Floats) -> Floats:
    """Ranks (n,) from 1 on, ties sharing their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place], dtype=np.float64)


def _widened(metric: Metric, alpha: float) -> tuple[float, float, float]:
    """A number with one-sided bounds at 1 - ``alpha``: a share's exact ones, others' stretched as if normal."""
    if metric.value is None or metric.interval is None:
        raise ValueError(f"{metric.name} has no value or no interval")
    counted = _counted(metric, metric.interval, metric.value)
    if counted is not None:
        successes, n, scale = counted
        bounds = clopper_pearson(successes, n, 1 - 2 * alpha)
        return metric.value, scale * bounds.low, scale * bounds.high
    stretch = float(ndtri(1 - alpha) / ndtri((1 + metric.interval.level) / 2))
    low = metric.value - stretch * (metric.value - metric.interval.low)
    return metric.value, low, metric.value + stretch * (metric.interval.high - metric.value)


def _counted(metric: Metric, interval: Interval, value: float) -> tuple[int, int, float] | None:
    """Successes, trials and unit of a share whose interval is Clopper and Pearson's; None for any other number."""
    if metric.n is None or interval.method != "Clopper-Pearson":
        return None
    scale = 100.0 if metric.unit == "%" else 1.0
    successes = round(value / scale * metric.n)
    if not 0 <= successes <= metric.n or metric.n < 1:
        return None
    again = clopper_pearson(successes, metric.n, interval.level)
    same = np.allclose((scale * again.low, scale * again.high), (interval.low, interval.high), rtol=1e-6, atol=1e-9)
    return (successes, metric.n, scale) if same else None
