"""What a method reports: metrics with intervals, pictures as data, per-sample outcomes and a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from assay.methods.figures import Figure, Gallery, Histogram, Lines, Series, Table
from assay.methods.metric import FAMILIES, OPTIONAL, Family, Interval, Level, Metric, Risk, Scale, Verdict

__all__ = [
    "FAMILIES",
    "NO_SAMPLES",
    "OPTIONAL",
    "Family",
    "Figure",
    "Finding",
    "Gallery",
    "Histogram",
    "Interval",
    "Level",
    "Lines",
    "Metric",
    "Risk",
    "Samples",
    "Scale",
    "Series",
    "Table",
    "Verdict",
    "bounds",
]


@dataclass(frozen=True, eq=False)
class Samples:
    """Per-sample outcomes: columns of one length (n,), kept in Parquet.

    ``row`` int64 is the row that a sample has in its ``part`` of the data (one name for all, or one a sample);
    ``labels`` is the part of detectors whose samples are the classes. ``outcomes`` maps a metric's name to the numbers
    whose mean the metric is (over 100 where its unit is ``%``), NaN where a sample does not count. ``scores`` maps the
    name of an area under the ROC curve to the scores it is of; ``positive`` bool says which samples it finds.
    ``columns`` are further facts that nothing is judged by. Two models are compared on the samples that they share.
    """

    row: NDArray[np.int64]
    part: str | NDArray[np.str_] = "non_members"
    outcomes: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    positive: NDArray[np.bool_] | None = None
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column by its name, whatever its role."""
        return self.table()[name]

    def table(self) -> dict[str, NDArray[Any]]:
        """All columns by name, as they are written.

        Raises:
            ValueError: if two have one name, or another length than ``row``.
        """
        part = np.repeat(self.part, len(self)) if isinstance(self.part, str) else self.part
        columns: list[tuple[str, NDArray[Any]]] = [("row", self.row), ("part", part)]
        columns += [] if self.positive is None else [("positive", self.positive)]
        columns += [*self.outcomes.items(), *self.scores.items(), *self.columns.items()]
        found = dict(columns)
        if len(found) < len(columns):
            names = [name for name, _ in columns]
            raise ValueError(f"two columns of samples are called {next(n for n in names if names.count(n) > 1)!r}")
        for name, column in columns:
            if len(column) != len(self):
                raise ValueError(f"the column {name!r} has {len(column)} samples, and 'row' has {len(self)}")
        return found


NO_SAMPLES = Samples(np.zeros(0, np.int64))
"""Where a method keeps none."""


class Finding(BaseModel):
    """What a method hands back: metrics of different names, the verdict, pictures as data, and per-sample outcomes."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    metrics: list[Metric]
    verdict: Verdict
    figures: list[Figure] = []
    samples: Samples = NO_SAMPLES

    def metric(self, name: str) -> Metric:
        """The metric of that name.

        Raises:
            KeyError: if there is none.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)


def bounds(values: NDArray[np.float64], level: float, method: str) -> Interval:
    """The central interval of resampled values (m,)."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high), level=level, method=method)
