"""Metrics that several families report, with their intervals, and names of classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import bootstrap, clopper_pearson
from assay.methods.finding import Interval, Metric

Floats = NDArray[np.float64]


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
