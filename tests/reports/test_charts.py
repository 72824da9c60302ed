from __future__ import annotations

import json
import math
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.methods.finding import Histogram, Lines, Series
from assay.reports.charts import HEIGHT, SERIES, VARIABLES, WIDTH, chart, svg, themed
from reports.samples import HOSTILE, band_figure, histogram_figure, roc_figure


def lines(*series: Series, **other: Any) -> Lines:
    return Lines(title="T", caption="C", x_label="x", y_label="y", series=list(series), **other)


def picture(figure: Lines | Histogram) -> str:
    drawing = chart(figure)
    assert drawing is not None
    return svg(drawing, "label")


def rows(figure: Lines | Histogram) -> list[dict[str, Any]]:
    drawing = chart(figure)
    assert drawing is not None
    (found,) = (data for data in themed(drawing).to_dict()["datasets"].values() if isinstance(data, str))
    return list(json.loads(found))


@pytest.mark.parametrize("figure", [roc_figure(a=0.5, b=0.1), band_figure(), histogram_figure()])
def test_every_chart_is_sound_svg_with_all_its_names(figure: Lines | Histogram) -> None:
    text = picture(figure)
    ElementTree.fromstring(text)
    names = [s.name for s in figure.series] if isinstance(figure, Lines) else [*figure.counts, *figure.markers]
    for name in [*names, figure.x_label]:
        assert f">{name}</text>" in text
    assert "<script" not in text
    assert "url(" not in text


def test_colours_are_variables_that_stand_alone_too() -> None:
    text = picture(roc_figure(a=0.5, b=0.1))
    assert f'stroke="var(--series-1, {SERIES[0]})"' in text
    assert f'stroke="var(--series-2, {SERIES[1]})"' in text
    for colour in VARIABLES:
        assert f'"{colour}"' not in text


def test_two_series_differ_without_colour() -> None:
    assert len(set(re.findall(r'stroke-dasharray="([^"]+)"', picture(roc_figure(a=0.5, b=0.1, c=0.2))))) >= 3


def test_log_axes_drop_what_they_cannot_show() -> None:
    series = Series(name="s", x=[0.0, 0.1, 0.2, math.inf, 0.4], y=[0.1, 0.0, 0.3, 0.4, 0.5])
    assert [(row["x"], row["y"]) for row in rows(lines(series, x_log=True, y_log=True))] == [(0.2, 0.3), (0.4, 0.5)]
    assert [(row["x"], row["y"]) for row in rows(lines(series))] == [(0.0, 0.1), (0.1, 0.0), (0.2, 0.3), (0.4, 0.5)]


def test_nothing_to_draw_is_none() -> None:
    assert chart(lines(Series(name="s", x=[0.0], y=[0.0]), x_log=True)) is None
    assert chart(lines()) is None
    assert chart(Histogram(title="T", caption="C", x_label="x", edges=[0, 1], counts={"none": [0]})) is None


@pytest.mark.parametrize("value", [0.0, 3.0, -2.0])
def test_a_single_point_is_drawn(value: float) -> None:
    ElementTree.fromstring(picture(lines(Series(name="s", x=[value], y=[value]))))


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 3000), st.integers(0, 99))
def test_thinning_moves_no_point_by_a_pixel(size: int, seed: int) -> None:
    x = np.linspace(0, 1, size)
    y = np.cumsum(np.random.default_rng(seed).normal(size=size))
    kept = rows(lines(Series(name="s", x=x.tolist(), y=y.tolist())))
    assert (kept[0]["x"], kept[-1]["x"]) == (x[0], x[-1])
    positions = np.searchsorted(x, [row["x"] for row in kept])
    before = positions[np.searchsorted(positions, np.arange(size), side="right") - 1]
    assert np.abs(x - x[before]).max() * WIDTH <= 1
    assert np.abs(y - y[before]).max() / ((np.ptp(y)) or 1) * HEIGHT <= 1


def test_long_curves_become_short() -> None:
    assert len(picture(roc_figure(a=0.5))) < 40_000


def test_a_histogram_shows_shares_so_that_sets_of_different_size_compare() -> None:
    figure = Histogram(
        title="T", caption="C", x_label="x", edges=[0, 1, 2], counts={"a": [1, 3], "b": [20, 20], "empty": [0, 0]}
    )
    assert [(row["series"], row["x"], row["share"]) for row in rows(figure)] == [
        ("a", 0, 25),
        ("a", 1, 75),
        ("a", 2, 75),
        ("b", 0, 50),
        ("b", 1, 50),
        ("b", 2, 50),
    ]


def test_hostile_names_stay_text() -> None:
    drawing = chart(lines(Series(name=HOSTILE, x=[0, 1], y=[0, 1]), Series(name="b", x=[0, 1], y=[1, 0])))
    assert drawing is not None
    text = svg(drawing, HOSTILE)
    assert ElementTree.fromstring(text).attrib["aria-label"] == HOSTILE
    assert "<script" not in text
