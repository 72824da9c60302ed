from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.methods.finding import Interval, Metric
from assay.reports.format import (
    asked,
    count,
    date,
    duration,
    fact,
    interval_source,
    interval_text,
    metric_text,
    money,
    number,
    words,
)
from reports.samples import outcome


def interval(low: float, high: float) -> Interval:
    return Interval(low=low, high=high, method="DeLong")


@pytest.mark.parametrize(
    ("value", "low", "high", "unit", "text"),
    [
        (0.53812, 0.52401, 0.55223, "", "0.538 [0.524, 0.552]"),
        (91.53, 89.62, 93.09, "%", "91.5 % [89.6, 93.1]"),
        (0.53812, 0.43, 0.65, "", "0.54 [0.43, 0.65]"),
        (0.53812, 0.53712, 0.53912, "", "0.5381 [0.5371, 0.5391]"),
        (12345.0, 11145.0, 13545.0, "images", "12,300 images [11,100, 13,500]"),
        (0.0, 0.0, 0.00368, "", "0.0000 [0.0000, 0.0037]"),
        (-0.00004, -0.012, 0.012, "", "0.000 [-0.012, 0.012]"),
        (1.0, 1.0, 1.0, "", "1 [1, 1]"),
    ],
)
def test_digits_follow_the_interval(value: float, low: float, high: float, unit: str, text: str) -> None:
    metric = Metric(name="m", label="M", value=value, interval=interval(low, high), unit=unit)
    assert metric_text(metric) == text


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e5), st.floats(0, 1))
def test_rounding_costs_at_most_a_twentieth_of_the_half_width(low: float, width: float, place: float) -> None:
    bounds = interval(low, low + width)
    value = low + place * width
    shown = metric_text(Metric(name="m", label="M", value=value, interval=bounds)).replace(",", "").split(" ")
    for text, exact in zip(shown, (value, bounds.low, bounds.high), strict=True):
        assert abs(float(text.strip("[]")) - exact) <= 0.05 * width / 2 * (1 + 1e-6)


@given(st.floats(-1e300, 1e300))
def test_a_number_alone_keeps_three_digits(value: float) -> None:
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_numbers_that_are_none() -> None:
    assert metric_text(None) == "no number"
    assert metric_text(Metric(name="m", label="M", value=None, interval=interval(0, 1), note="Too few.")) == "no number"
    assert number(math.nan) == "not a number"
    assert number(-math.inf) == "-infinite"
    assert interval_text(None) == ""


def test_interval_source_names_level_and_method() -> None:
    assert interval_source(Interval(low=0, high=1, level=0.99, method="bootstrap")) == "99 %, bootstrap"


def test_quantities() -> None:
    assert [count(1, "image"), count(1000, "image")] == ["1 image", "1,000 images"]
    assert [money(0), money(0.00412), money(1234.5)] == ["$0", "$0.00412", "$1,234.50"]
    assert [duration(s) for s in (0.42, 38.2, 200, 7500, 3599.9)] == [
        "0.4 s",
        "38 s",
        "3 min 20 s",
        "2 h 5 min",
        "1 h 0 min",
    ]


def test_dates_are_in_utc_where_the_zone_is_known() -> None:
    moment = datetime(2025, 11, 22, 1, 30)
    assert date(moment) == "22 November 2025, 01:30"
    assert date(moment.replace(tzinfo=timezone(timedelta(hours=2)))) == "21 November 2025, 23:30 UTC"


def test_facts_of_any_kind() -> None:
    assert fact(None) == "none"
    assert fact(True) == "yes"
    assert fact(269722) == "269,722"
    assert fact(8 / 255) == "0.0313725"
    assert fact([0.5, 1.0]) == "0.5, 1"
    assert fact([]) == "none"
    assert fact([{"name": "rounding", "decimals": 2}, {"name": "label"}]) == "name rounding, decimals 2; name label"
    assert words("non_members_used") == "non-members used"


def test_what_was_asked() -> None:
    assert asked(outcome("stealing", "A")) == "1,797"
    assert asked(outcome("evasion", "B", white_box=True)) == "white-box"
