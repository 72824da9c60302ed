"""Metrics that several families report, with their intervals, and names of classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import bootstrap, clopper_pearson
from assay.methods.finding import Interval, Metric

Floats = NDArray[np.float64]

MOST = 1_000_000
"""Samples, at most, that anybody is told to take."""


def proportion(name: str, label: str, hits: NDArray[np.bool_], note: str = "") -> Metric:
    """The share of n >= 1 outcomes (n,) that are true, with Clopper and Pearson's interval."""
    bounds = clopper_pearson(int(hits.sum()), len(hits))
    return Metric(
        name=name,
        label=label,
        value=float(hits.mean()),
        interval=Interval(**bounds._asdict()),
        n=len(hits),
        note=note,
    )


def resampled(
    name: str,
    label: str,
    statistic: Callable[..., Floats],
    *columns: NDArray[Any],
    seed: int,
    unit: str = "",
    note: str = "",
) -> Metric:
    """A statistic of paired columns (n, ...), with a bootstrap interval; see `assay.base.intervals.bootstrap`."""
    bounds = bootstrap(statistic, *columns, seed=seed)
    value = float(statistic(*(column[None] for column in columns))[0])
    interval = Interval(**bounds._asdict())
    return Metric(name=name, label=label, value=value, interval=interval, n=len(columns[0]), unit=unit, note=note)


def more_to_decide(share: Metric, limit: float, what: str) -> str:
    """How many more samples would decide on which side of a ``limit`` a share lies, if it stays as it is, as text.

    ``share`` is of `proportion`, and its interval holds the limit; ``what`` are its samples, in the plural. Intervals
    are computed for more and more of them, up to `MOST`.
    """
    if share.value is None or share.n is None:
        raise ValueError(f"{share.name} has no value, or is no share of a number of samples")
    count = share.n
    while count < MOST:
        count += max(1, count // 20)
        bounds = clopper_pearson(round(share.value * count), count)
        if not bounds.low <= limit <= bounds.high:
            return f"about {rounded_up(count - share.n):,} more {what} would decide"
    return f"no number of {what} would decide, if the share stays as it is"


def rounded_up(count: int) -> int:
    """A number of samples to two significant digits, upwards, at least 1."""
    unit: int = 10 ** max(0, len(str(max(count, 1))) - 2)
    return -(-max(count, 1) // unit) * unit


def class_name(names: tuple[str, ...], label: int) -> str:
    """What a class is called: its name where there is one, else its number."""
    return names[label] if label < len(names) else str(label)


def percent(share: float) -> str:
    """A share in [0, 1] as text, ``12.3 %``."""
    return f"{100 * share:.1f} %"


def within(metric: Metric) -> str:
    """The value and interval of a metric that is a share, ``12.3 % (95 % interval 10.0 % to 15.0 %)``."""
    if metric.value is None or metric.interval is None:
        raise ValueError(f"{metric.name} has no value")
    interval = metric.interval
    bounds = f"{percent(interval.low)} to {percent(interval.high)}"
    return f"{percent(metric.value)} ({100 * interval.level:g} % interval {bounds})"
