"""What the pages share: the template environment, and the spelling of values in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from assay.methods.metric import FAMILIES, Metric
from assay.reports import format as spelled
from assay.reports.answers import verdict_metric
from assay.reports.wording import LEVELS, MEANINGS, QUESTIONS, SYMBOLS, without_change

_TECHNIQUE = re.compile(r"AML\.T\d{4}(\.\d{3})?")


FURTHEST = 4.0
"""The largest position that a scale is drawn to; numbers beyond are drawn at its end."""


class Bar(NamedTuple):
    """Where a number, its interval and its thresholds lie on its scale, in percent of the scale's length.

    Chance is at the left end, and further right is riskier, whichever way the number itself runs. ``before`` is where
    the last release's number lay.
    """

    value: float
    low: float
    high: float
    marks: tuple[float, ...]
    before: float | None = None


def render(template: str, **values: Any) -> str:
    """A template of this room with values, escaped."""
    return _ENVIRONMENT.get_template(template).render(**values)


def bar(metric: Metric | None, before: Metric | None = None) -> Bar | None:
    """A number on its own scale (`Scale.position`), with that of the last release; None without a value or a scale."""
    if metric is None or metric.value is None or metric.scale is None:
        return None
    scale, interval = metric.scale, metric.interval
    around = (interval.low, interval.high) if interval else (metric.value, metric.value)
    places = [scale.position(number) for number in (metric.value, *around)]
    marks = [scale.position(number) for number in (scale.low, scale.high) if number is not None]
    last = scale.position(before.value) if before is not None and before.value is not None else None
    end = min(FURTHEST, max(1.5, *(1.1 * place for place in (*places, last or 0.0))))

    def percent(place: float) -> float:
        return 100 * min(max(place / end, 0.0), 1.0)

    low, high = sorted(percent(place) for place in places[1:])
    return Bar(
        percent(places[0]),
        low,
        high,
        tuple(percent(mark) for mark in marks),
        None if last is None else percent(last),
    )


def technique(identifier: str) -> Markup:
    """A MITRE ATLAS technique as a link; as text where it does not look like one."""
    if not _TECHNIQUE.fullmatch(identifier):
        return Markup.escape(identifier)
    return Markup('<a href="https://atlas.mitre.org/techniques/{0}">{0}</a>').format(identifier)


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(
    asked=spelled.asked,
    bar=bar,
    count=spelled.count,
    date=spelled.date,
    deciding=verdict_metric,
    duration=spelled.duration,
    fact=spelled.fact,
    interval=spelled.interval_text,
    metric=spelled.metric_text,
    money=spelled.money,
    number=spelled.number,
    scale=spelled.scale_text,
    source=spelled.interval_source,
    technique=technique,
    value=spelled.value_text,
    without_change=without_change,
    words=spelled.words,
)
_ENVIRONMENT.globals.update(LEVELS=LEVELS, MEANINGS=MEANINGS, QUESTIONS=QUESTIONS, SYMBOLS=SYMBOLS, FAMILIES=FAMILIES)
