"""Outcomes as a data frame."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from assay.studies.outcome import Outcome

COLUMNS: dict[str, str] = {
    "target": "str",
    "method": "str",
    "metric": "str",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "level": "float64",
    "interval_method": "str",
    "n": "Int64",
    "unit": "str",
    "seed": "int64",
    "key": "str",
}


def frame(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row per metric of every finished outcome, in the given order.

    ``value`` is NaN where the data cannot support the number; ``low``, ``high`` and ``level`` (of confidence) are NaN,
    and ``interval_method`` is empty, where there is no interval. ``n`` is missing where it does not apply.
    """
    rows = [
        (
            outcome.target.name,
            outcome.method.name,
            metric.name,
            metric.value,
            metric.interval.low if metric.interval else None,
            metric.interval.high if metric.interval else None,
            metric.interval.level if metric.interval else None,
            metric.interval.method if metric.interval else "",
            metric.n,
            metric.unit,
            outcome.seed,
            outcome.key,
        )
        for outcome in outcomes
        for metric in outcome.metrics
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
