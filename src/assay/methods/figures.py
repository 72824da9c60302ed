"""Pictures as data: what a method wants drawn, whoever draws it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from assay.base.frozen import Frozen


class Series(Frozen):
    """A line or a set of points, x and y of one length. ``low`` and ``high`` are an optional band."""

    name: str
    x: list[float]
    y: list[float]
    low: list[float] | None = None
    high: list[float] | None = None

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        if {len(each) for each in (self.y, self.low, self.high) if each is not None} != {len(self.x)}:
            raise ValueError("x, y, low and high must be of one length")
        return self


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

    @model_validator(mode="after")
    def _between_edges(self) -> Self:
        if any(len(each) != len(self.edges) - 1 for each in self.counts.values()):
            raise ValueError("there must be one more edge than counts")
        return self


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
