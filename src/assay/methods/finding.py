"""What a method reports: metrics with intervals, pictures as data, per-sample outcomes and a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from assay.base.frozen import Frozen

Family = Literal["stealing", "membership", "backdoor", "evasion", "siblings"]
FAMILIES: tuple[Family, ...] = ("stealing", "membership", "backdoor", "evasion", "siblings")
"""In the order of the questions."""

OPTIONAL: frozenset[Family] = frozenset({"siblings"})
"""Families whose question a report asks only where one of their methods was run: not every model has a sibling."""
Level = Literal["low", "elevated", "high", "undecided"]


class Interval(Frozen):
    """A confidence interval. ``method`` names how it was computed (``Clopper-Pearson``, ``DeLong``, ``bootstrap``)."""

    low: FiniteFloat
    high: FiniteFloat
    level: float = 0.95
    method: str


Risk = Literal["up", "down"]


class Scale(Frozen):
    """What a number is judged by.

    ``risk`` is the direction in which it gets worse for the owner. ``chance`` is what an attack that does nothing, or
    a model with nothing to find, would show. Beyond ``high`` (in the direction of the risk) a verdict is high or raises
    an alarm; short of ``low`` it is low. ``log`` compares logarithms, as for p-values.
    """

    risk: Risk
    chance: FiniteFloat
    high: FiniteFloat
    low: FiniteFloat | None = None
    log: bool = False

    @model_validator(mode="after")
    def _directed(self) -> Self:
        if (self.high > self.chance) != (self.risk == "up") or self.high == self.chance:
            raise ValueError("high must lie beyond chance, in the direction of the risk")
        return self

    def position(self, value: float) -> float:
        """Where a number lies: 0 at chance, 1 at ``high``, more beyond; numbers on different scales compare so."""
        shown, chance, high = (math.log(max(x, 1e-300)) if self.log else x for x in (value, self.chance, self.high))
        return (shown - chance) / (high - chance)


class Metric(Frozen):
    """One number: finite, or None where the data cannot support it, and ``note`` then says why.

    ``n`` is what it was computed from (images, say). A metric without an interval says why in ``note``. ``scale`` is
    what it is judged by; a number without one is shown and never judged. The unit ``%`` means 0 to 100.
    """

    name: str
    label: str
    value: FiniteFloat | None
    interval: Interval | None = None
    n: int | None = None
    unit: str = ""
    note: str = ""
    scale: Scale | None = None

    @model_validator(mode="after")
    def _explained(self) -> Self:
        if self.value is None and not self.note:
            raise ValueError("a metric without a value must say why in its note")
        return self

    def judged_by(self, scale: Scale) -> Metric:
        """The same number with a scale."""
        return self.model_copy(update={"scale": scale})

    @property
    def position(self) -> float:
        """Where it lies on its scale (`Scale.position`); minus infinity without a value or a scale."""
        if self.value is None or self.scale is None:
            return -math.inf
        return self.scale.position(self.value)


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
    """A method's answer to its family's question. ``metric`` names the metric that decided: cards and tables show it.

    ``sentence`` says in plain words what the number means for this model. ``answers`` is False where the verdict is
    about something else than the family's question (whether a stolen copy can be claimed, say): a report shows it,
    and does not let it answer the question.
    """

    level: Level
    metric: str
    sentence: str
    answers: bool = True


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
