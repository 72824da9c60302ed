"""Numbers as readers see them: one spelling for the terminal, the page and the notebook.

A number is never printed with more digits than its interval supports: half the interval's width keeps two significant
digits. The unit ``%`` means that a metric is stored in percent, 0 to 100; other units follow the number as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from assay.methods.metric import Interval, Metric
from assay.studies.outcome import Outcome

NO_NUMBER = "no number"
MOST_DECIMALS = 6


def number(value: float, decimals: int | None = None) -> str:
    """A number with thousands separators; three significant digits where ``decimals`` is not given.

    Negative ``decimals`` round to tens, hundreds and so on. Whole numbers are printed whole.
    """
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if decimals is None:
        if float(value).is_integer() and abs(value) < 1e15:
            return f"{int(value):,}"
        exponent = math.floor(math.log10(abs(value)))
        if exponent < -4 or exponent >= 15:
            return f"{value:.2e}"
        decimals = max(0, 2 - exponent)
    rounded = round(value, decimals) + 0.0  # never -0
    return f"{rounded:,.{max(decimals, 0)}f}"


def supported_decimals(interval: Interval | None) -> int | None:
    """Decimals at which half the interval's width shows two significant digits; None where there is no width."""
    if interval is None:
        return None
    half = (interval.high - interval.low) / 2
    if not math.isfinite(half) or half <= 0:
        return None
    return min(MOST_DECIMALS, 1 - math.floor(math.log10(half)))


def value_text(metric: Metric) -> str:
    """``0.538``, ``91.5 %``, ``1,240 images``, or ``no number``."""
    if metric.value is None:
        return NO_NUMBER
    text = number(metric.value, supported_decimals(metric.interval))
    return f"{text} {metric.unit}".rstrip()


def interval_text(interval: Interval | None) -> str:
    """``[0.524, 0.552]``; empty without an interval."""
    if interval is None:
        return ""
    decimals = supported_decimals(interval)
    return f"[{number(interval.low, decimals)}, {number(interval.high, decimals)}]"


def interval_source(interval: Interval) -> str:
    """``95 %, DeLong``."""
    return f"{100 * interval.level:g} %, {interval.method}"


def metric_text(metric: Metric | None) -> str:
    """A value and its interval: ``0.538 [0.524, 0.552]``, ``91.5 % [89.6, 93.1]``, or ``no number``."""
    if metric is None:
        return NO_NUMBER
    shown = interval_text(metric.interval) if metric.value is not None else ""
    return f"{value_text(metric)} {shown}".rstrip()


def scale_text(metric: Metric | None) -> str:
    """What a number is judged by: ``chance 0.5, low below 0.55, high from 0.6; higher is riskier``; empty without."""
    if metric is None or metric.scale is None:
        return ""
    scale = metric.scale
    up = scale.risk == "up"
    marks = [f"chance {scale.chance:.3g}"]
    if scale.low is not None:
        marks.append(f"low {'below' if up else 'above'} {scale.low:.3g}")
    marks.append(f"high {'from' if up else 'down from'} {scale.high:.3g}")
    return f"{', '.join(marks)}; {'higher' if up else 'lower'} is riskier"


def count(value: int, thing: str) -> str:
    """``1 image``, ``1,000 images``."""
    return f"{value:,} {thing}" + ("" if value == 1 else "s")


def asked(outcome: Outcome) -> str:
    """What a method asked the target, in images that were charged; ``white-box`` where it had no need to ask."""
    return f"{outcome.spent.images:,}" if outcome.serving else outcome.method.access


def money(dollars: float) -> str:
    """``$0``, ``$0.004``, ``$1,234.50``."""
    if dollars == 0:
        return "$0"
    return f"${number(dollars)}" if dollars < 0.01 else f"${dollars:,.2f}"


def duration(seconds: float) -> str:
    """``0.4 s``, ``38 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def date(moment: datetime) -> str:
    """``22 November 2025, 00:11 UTC``; without the zone where it is not known."""
    known = moment.tzinfo is not None
    shown = moment.astimezone(UTC) if known else moment
    return f"{shown.day} {shown:%B %Y, %H:%M}" + (" UTC" if known else "")


def fact(value: Any) -> str:
    """A fact or an option of any kind as one line; floats are given, not measured, and keep six digits."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{words(str(name))} {fact(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        nested = any(isinstance(item, Mapping | list | tuple) for item in value)
        return ("; " if nested else ", ").join(fact(item) for item in value) or "none"
    return str(value)


def words(name: str) -> str:
    """A field's name as words: ``claimed_accuracy`` is ``claimed accuracy``, ``non_members`` is ``non-members``."""
    return name.replace("non_", "non-").replace("_", " ")
