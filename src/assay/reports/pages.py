"""What the pages share: the template environment, and the spelling of values in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from assay.methods.metric import FAMILIES, Metric
from assay.reports import format as spelled
from assay.reports.wording import LEVELS, MEANINGS, QUESTIONS, SYMBOLS

_TECHNIQUE = re.compile(r"AML\.T\d{4}(\.\d{3})?")


class Bar(NamedTuple):
    """Where a number and its interval lie on a bounded scale, in percent of its length."""

    value: float
    low: float
    high: float
    end: str


def render(template: str, **values: Any) -> str:
    """A template of this room with values, escaped."""
    return _ENVIRONMENT.get_template(template).render(**values)


def bar(metric: Metric | None) -> Bar | None:
    """The place of a number on the scale 0 to 1, or 0 % to 100 %; None where it has no such scale."""
    if metric is None or metric.value is None or metric.unit not in ("", "%"):
        return None
    end = 100.0 if metric.unit == "%" else 1.0
    low, high = (metric.interval.low, metric.interval.high) if metric.interval else (metric.value, metric.value)
    if not 0.0 <= low <= metric.value <= high <= end:
        return None
    return Bar(100 * metric.value / end, 100 * low / end, 100 * high / end, "100 %" if end == 100 else "1")


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
    duration=spelled.duration,
    fact=spelled.fact,
    interval=spelled.interval_text,
    metric=spelled.metric_text,
    money=spelled.money,
    number=spelled.number,
    source=spelled.interval_source,
    technique=technique,
    value=spelled.value_text,
    words=spelled.words,
)
_ENVIRONMENT.globals.update(LEVELS=LEVELS, MEANINGS=MEANINGS, QUESTIONS=QUESTIONS, SYMBOLS=SYMBOLS, FAMILIES=FAMILIES)
