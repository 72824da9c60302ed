"""The interval of a difference between two models' numbers, and how wide it must be so that a gate does not flap.

An unchanged model that is measured again differs by chance. A gate that compared m numbers with one-sided 97.5 % bounds
would fail it with a probability of up to 1 - 0.975^m: one run in five for ten rules. So the chance of one false alarm
among all comparisons of a run is held at `FALSE_ALARMS`, shared equally among them (Bonferroni).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from assay.base.intervals import clopper_pearson
from assay.methods.finding import Interval, Metric

FALSE_ALARMS = 0.001
"""The probability, at most, that a run of the gate fails an unchanged model by any of its comparisons."""

FEWEST_PAIRS = 30
"""Shared samples below which two models are compared as independent."""


class Difference(NamedTuple):
    """New less old, with one-sided bounds: each is wrong with the probability that was asked for. ``how`` in words."""

    value: float
    low: float
    high: float
    how: str


def tail(comparisons: int) -> float:
    """The probability that one of so many comparisons may err, for all of them together to keep `FALSE_ALARMS`."""
    return FALSE_ALARMS / max(comparisons, 1)


def independent(new: Metric, old: Metric, alpha: float) -> Difference:
    """The difference of two numbers from separate samples, bounds at 1 - ``alpha`` each.

    The two intervals combined: method of variance estimates recovery (Newcombe, Statistics in Medicine 17 (1998),
    method 10, for shares; Zou and Donner, Statistics in Medicine 27 (2008), for any number). Both metrics need a value
    and an interval. Where the samples are in fact the same, it errs on the side of no alarm.
    """
    (value, low, high), (before, before_low, before_high) = (_widened(metric, alpha) for metric in (new, old))
    difference = value - before
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
