"""Figures as pictures: declarative figure to Altair chart to SVG, in one palette.

A chart is an ordinary Vega-Lite chart in the light palette. Its SVG refers to each colour of the palette as a CSS
variable (``var(--series-1, #0b62a3)``), so that one picture suits a light and a dark page, and still stands alone.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from assay.methods.figures import Histogram, Lines, Series
from assay.reports.drawing import draw

SERIES: tuple[str, ...] = ("#0b62a3", "#c2410c", "#0f7a5a", "#8a3a8f", "#8f6400", "#4b5563")
"""Colours of series. Dashes tell them apart without colour."""

DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (7, 3), (2, 2), (10, 3, 2, 3), (4, 4), (12, 4))
INK, MUTED, GRID = "#1f2328", "#5b6470", "#dedbd3"

VARIABLES: dict[str, str] = {
    **{colour: f"--series-{place}" for place, colour in enumerate(SERIES, start=1)},
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
}

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""One set of widths on every system, so that text takes the room that was measured for it."""

WIDTH, HEIGHT, SQUARE = 400, 240, 320
FEW_POINTS = 16
"""Series of so many points or fewer also show each point."""

Drawing = alt.Chart | alt.LayerChart | alt.FacetChart
Point = tuple[float, float, float | None, float | None]
Bounds = tuple[float, float]


def chart(figure: Lines | Histogram) -> Drawing | None:
    """A figure as a chart without title or caption; None where there is nothing to draw."""
    return _lines(figure) if isinstance(figure, Lines) else _histogram(figure)


def svg(drawing: Drawing, label: str) -> str | None:
    """A chart as an ``<svg>`` element that scales with its container; None where it cannot be drawn (see `draw`).

    ``label`` is what a screen reader says.
    """
    drawn = draw(themed(drawing).to_dict(), "svg")
    if drawn is None:
        return None
    picture = drawn.decode()
    for colour, variable in VARIABLES.items():
        picture = picture.replace(f'"{colour}"', f'"var({variable}, {colour})"')
    return picture.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1)


def themed(drawing: Drawing) -> Any:
    """A chart in the house's type and greys, on a transparent ground."""
    text: Any = {"labelFont": FONT, "titleFont": FONT, "labelFontSize": 12, "labelColor": MUTED, "titleColor": INK}
    axis = alt.AxisConfig(
        **text,
        titleFontSize=12,
        titleFontWeight="normal",
        titlePadding=8,
        gridColor=GRID,
        domainColor=MUTED,
        tickColor=MUTED,
        tickSize=4,
        labelFlush=False,
    )
    legend = alt.LegendConfig(
        **text, orient="top", direction="horizontal", columns=2, title=None, columnPadding=16, labelLimit=150, offset=10
    )
    return drawing.configure(
        aria=False, background="transparent", padding=4, view=alt.ViewConfig(stroke=None), axis=axis, legend=legend
    )


def _lines(figure: Lines) -> Drawing | None:
    drawable = {series.name: _drawable(series, figure.x_log, figure.y_log) for series in figure.series}
    drawable = {name: points for name, points in drawable.items() if points}
    if not drawable:
        return None
    every = [point for points in drawable.values() for point in points]
    banded = any(low is not None for *_, low, _ in every)
    x_domain = _domain((x for x, *_ in every), figure.diagonal and figure.x_log)
    y_domain = _domain((v for _, *ys in every for v in ys if v is not None), figure.diagonal and figure.y_log)
    if figure.diagonal:
        x_domain = y_domain = (min(x_domain[0], y_domain[0]), max(x_domain[1], y_domain[1]))
    height = SQUARE if figure.diagonal else HEIGHT
    rows = [
        {"series": name, "order": order, "x": x, "y": y, "low": low, "high": high, "few": len(points) <= FEW_POINTS}
        for name, points in drawable.items()
        for order, (x, y, low, high) in enumerate(_thinned(points, x_domain, y_domain, figure, height))
    ]
    y = {"title": figure.y_label, **_position(y_domain, figure.y_log)}
    base = alt.Chart().encode(
        x=alt.X("x:Q", title=figure.x_label, **_position(x_domain, figure.x_log)), **_marking(list(drawable))
    )
    band = base.transform_filter("datum.low !== null").mark_area(opacity=0.18, strokeWidth=0)
    layers = [
        *([band.encode(y=alt.Y("low:Q", **y), y2="high:Q")] if banded else []),
        *([_chance(x_domain)] if figure.diagonal else []),
        base.mark_line(strokeWidth=2, strokeJoin="round").encode(y=alt.Y("y:Q", **y), order="order:Q"),
        base.transform_filter("datum.few").mark_point(filled=True, size=45, opacity=1).encode(y=alt.Y("y:Q", **y)),
    ]
    return alt.layer(*layers, data=_data(rows), width=WIDTH, height=height)


def _histogram(figure: Histogram) -> Drawing | None:
    totals = {name: sum(counts) for name, counts in figure.counts.items()}
    rows = [
        {"series": name, "x": edge, "share": 100 * share / totals[name]}
        for name, counts in figure.counts.items()
        if totals[name] > 0
        for edge, share in zip(figure.edges, [*counts, counts[-1]], strict=True)
    ]
    if not rows:
        return None
    names = [name for name, total in totals.items() if total > 0]
    domain = (figure.edges[0], figure.edges[-1])
    x = alt.X("x:Q", title=figure.x_label, scale=alt.Scale(domain=list(domain), nice=False), axis=alt.Axis(tickCount=6))
    y = alt.Y("share:Q", title="share of each, %", stack=None, axis=alt.Axis(tickCount=5))
    base = alt.Chart().encode(x=x, y=y, **_marking(names))
    layers: list[alt.Chart] = [
        base.mark_area(interpolate="step-after", opacity=0.2, strokeWidth=0),
        base.mark_line(interpolate="step-after", strokeWidth=1.75),
        *_markers(figure, domain),
    ]
    return alt.layer(*layers, data=_data(rows), width=WIDTH, height=HEIGHT)


def _data(rows: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    """Rows as one text, which Altair neither walks through nor copies."""
    return alt.InlineData(values=json.dumps(rows), format=alt.JsonDataFormat(type="json"))


def _marking(names: Sequence[str]) -> dict[str, Any]:
    """Colour and dash by series, with a legend where there is more than one."""
    line = alt.Legend(symbolType="stroke", symbolSize=500, symbolStrokeWidth=2, symbolOpacity=1)
    legend = line if len(names) > 1 else None
    places = range(len(names))
    colours = [SERIES[place % len(SERIES)] for place in places]
    dashes = [list(DASHES[(place + place // len(SERIES)) % len(DASHES)]) for place in places]
    return {
        "color": alt.Color("series:N", sort=None, legend=legend, scale=alt.Scale(domain=list(names), range=colours)),
        "strokeDash": alt.StrokeDash(
            "series:N", sort=None, legend=legend, scale=alt.Scale(domain=list(names), range=dashes)
        ),
    }


def _markers(figure: Histogram, domain: Bounds) -> Iterator[alt.Chart]:
    low, high = domain
    inside = sorted((v, name) for name, v in figure.markers.items() if low <= v <= high)
    for row, (value, name) in enumerate(inside):
        left = value < low + 0.6 * (high - low)
        data = alt.InlineData(values=[{"x": value, "name": name}])
        mark = alt.Chart(data).encode(x="x:Q")
        yield mark.mark_rule(color=INK, strokeWidth=1.25, strokeDash=[3, 2])
        yield mark.mark_text(
            align="left" if left else "right", dx=5 if left else -5, color=INK, font=FONT, fontSize=12, baseline="top"
        ).encode(y=alt.value(2 + 15 * row), text="name:N")


def _chance(domain: Bounds) -> alt.Chart:
    ends = alt.InlineData(values=[{"x": end, "y": end} for end in domain])
    line: alt.Chart = alt.Chart(ends).mark_line(color=MUTED, strokeWidth=1, strokeDash=[1, 3]).encode(x="x:Q", y="y:Q")
    return line


def _drawable(series: Series, x_log: bool, y_log: bool) -> list[Point]:
    """Finite points that the axes can show; a band's lower bound that a log axis cannot show is its value."""
    lows: Sequence[float | None] = series.low or [None] * len(series.x)
    highs: Sequence[float | None] = series.high or [None] * len(series.x)
    kept: list[Point] = []
    for x, y, low, high in zip(series.x, series.y, lows, highs, strict=True):
        if not (math.isfinite(x) and math.isfinite(y)) or (x_log and x <= 0) or (y_log and y <= 0):
            continue
        if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
            low = high = None
        elif y_log and low <= 0:
            low = y
        kept.append((x, y, low, high))
    return kept


def _thinned(
    points: Sequence[Point], x_domain: Bounds, y_domain: Bounds, figure: Lines, height: int
) -> Iterator[Point]:
    """Points that differ from the one before by half a pixel or more, and the last."""
    before = None
    for place, point in enumerate(points):
        pixel = (
            round(2 * WIDTH * _fraction(point[0], x_domain, figure.x_log)),
            round(2 * height * _fraction(point[1], y_domain, figure.y_log)),
        )
        if pixel != before or place == len(points) - 1:
            yield point
        before = pixel


def _fraction(value: float, domain: Bounds, log: bool) -> float:
    low, high, value = (math.log(v) for v in (*domain, value)) if log else (*domain, value)
    return (value - low) / (high - low)


def _domain(values: Iterable[float], decades: bool) -> Bounds:
    """What an axis spans, never nothing; whole decades on request."""
    shown = [value for value in values if math.isfinite(value)]
    low, high = min(shown), max(shown)
    if decades:
        low, high = 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high))
    if high > low:
        return low, high
    return (low / 2, 2 * high) if low > 0 else (low - 1, high + 1)


def _position(domain: Bounds, log: bool) -> dict[str, Any]:
    """Scale and axis of one direction."""
    if not log:
        return {"scale": alt.Scale(domain=list(domain), zero=False, nice=True), "axis": alt.Axis(tickCount=6)}
    scale = alt.Scale(type="log", domain=list(domain), nice=False)
    return {"scale": scale, "axis": alt.Axis(values=_ticks(domain), format=",~g")}


def _ticks(domain: Bounds) -> list[float]:
    """Decades; where fewer than three fit, their doubles and halves too."""
    low, high = domain
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    decades = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(decades) >= 3:
        return decades
    return [step * 10.0**power for power in powers for step in (1, 2, 5) if low <= step * 10.0**power <= high]
