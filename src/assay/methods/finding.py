"""What a method reports: metrics with intervals, pictures as data, per-sample outcomes and a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from assay.base.frozen import Frozen

Family = Literal["stealing", "membership", "backdoor", "evasion", "siblings"]
FAMILIES: tuple[Family, ...] = ("stealing", "membership", "backdoor", "evasion", "siblings")
"""In the order of the questions."""

OPTIONAL: frozenset[Family] = frozenset({"siblings"})
"""Families whose question a report asks only where one of their methods was run: not every model has a sibling."""
Level = Literal["low", "elevated", "high", "undecided"]


class Interval(Frozen):
    """A confidence interval. ``method`` names how it was computed (``Clopper-Pearson``, ``DeLong``, ``bootstrap``)."""

    low: float
    high: float
    level: float = 0.95
    method: str


class Metric(Frozen):
    """One number. ``value`` is None where the data cannot support it, and ``note`` then says why.

    ``n`` is what it was computed from (images, say). A metric without an interval says why in ``note``.
    """

    name: str
    label: str
    value: float | None
    interval: Interval | None = None
    n: int | None = None
    unit: str = ""
    note: str = ""


class Series(Frozen):
    """A line or a set of points, x and y of one length. ``low`` and ``high`` are an optional band."""

    name: str
    x: list[float]
    y: list[float]
    low: list[float] | None = None
    high: list[float] | None = None


class Lines(Frozen):
    """Curves. ``diagonal`` draws chance; log axes drop points at 0."""

    kind: Literal["lines"] = "lines"
    title: str
    caption: str
    x_label: str
    y_label: str
    series: list[Series]
    x_log: bool = False
    y_log: bool = False
    diagonal: bool = False


class Histogram(Frozen):
    """Several distributions over the same ``edges`` (m + 1); each has m ``counts``."""

    kind: Literal["histogram"] = "histogram"
    title: str
    caption: str
    x_label: str
    edges: list[float]
    counts: dict[str, list[float]]
    markers: dict[str, float] = {}


class Gallery(Frozen):
    """Images in rows. ``files`` are PNG files in the artefact folder, row by row; ``columns`` head them."""

    kind: Literal["gallery"] = "gallery"
    title: str
    caption: str
    columns: list[str]
    rows: list[str]
    files: list[list[str]]


class Table(Frozen):
    """A table of texts and numbers."""

    kind: Literal["table"] = "table"
    title: str
    caption: str
    columns: list[str]
    rows: list[list[str | float | None]]


Figure = Annotated[Lines | Histogram | Gallery | Table, Field(discriminator="kind")]


class Verdict(Frozen):
    """A method's answer to its family's question. ``metric`` names the metric that decided, by its bound.

    ``sentence`` says in plain words what the number means for this model. ``answers`` is False where the verdict is
    about something else than the family's question (whether a stolen copy can be claimed, say): a report shows it,
    and does not let it answer the question.
    """

    level: Level
    metric: str
    sentence: str
    answers: bool = True


class Finding(BaseModel):
    """What a method hands back.

    ``samples`` are per-sample outcomes, equally long columns, kept in Parquet. ``row`` is the row of the data that a
    sample is of. A column with the name of a metric holds that whose mean the metric is, NaN where a sample does not
    count: two models can then be compared on the samples that they share.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    metrics: list[Metric]
    verdict: Verdict
    figures: list[Figure] = []
    samples: dict[str, NDArray[Any]] = {}
    files: list[Path] = []

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
