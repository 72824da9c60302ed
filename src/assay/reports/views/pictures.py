"""Pictures of a catalogue and of correlations, as Vega-Lite charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

Chart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.VConcatChart
ACCENT = "#0b62a3"


def bars(counts: Mapping[str, int], title: str, most: int = 20) -> Chart:
    """Counts as horizontal bars, the first ``most`` of them; the title says how many are left out."""
    rows: list[dict[str, Any]] = [{"value": value, "models": count} for value, count in list(counts.items())[:most]]
    order: list[str] = [row["value"] for row in rows]
    rest = f" ({len(counts) - most} more)" if len(counts) > most else ""
    chart: Chart = (
        alt.Chart(alt.InlineData(values=rows), title=title + rest, width=360, height=18 * len(rows))
        .mark_bar(color=ACCENT)
        .encode(
            x=alt.X("models:Q", title="models"),
            y=alt.Y("value:N", sort=order, title=None),
            tooltip=["value:N", "models:Q"],
        )
    )
    return chart


def years(counts: Mapping[str, int], title: str) -> Chart:
    """Counts by year, in the order of years, gaps kept."""
    rows = [{"year": int(year), "models": count} for year, count in sorted(counts.items())]
    chart: Chart = (
        alt.Chart(alt.InlineData(values=rows), title=title, width=520, height=200)
        .mark_bar(color=ACCENT, width=16)
        .encode(
            x=alt.X("year:Q", title=None, axis=alt.Axis(format="d"), scale=alt.Scale(zero=False, padding=12)),
            y=alt.Y("models:Q", title="models"),
            tooltip=["year:Q", "models:Q"],
        )
    )
    return chart


def scatter(rows: Sequence[Mapping[str, Any]], x: str, y: str, group: str, title: str) -> Chart:
    """Points with their name in a tooltip, one colour a group; ``rows`` have ``name``, both numbers and the group."""
    chart: Chart = (
        alt.Chart(alt.InlineData(values=list(rows)), title=title, width=420, height=320)
        .mark_point(filled=True, size=36, opacity=0.75)
        .encode(
            x=alt.X(f"{x}:Q", title=x.replace("_", " "), scale=alt.Scale(zero=False)),
            y=alt.Y(f"{y}:Q", title=y.replace("_", " "), scale=alt.Scale(zero=False)),
            color=alt.Color(f"{group}:N", title=group, scale=alt.Scale(scheme="tableau10")),
            shape=alt.Shape(f"{group}:N"),
            tooltip=["name:N", f"{group}:N", f"{x}:Q", f"{y}:Q"],
        )
    )
    return chart


def lines(rows: Sequence[Mapping[str, Any]], x: str, y: str, group: str, title: str) -> Chart:
    """Points joined by lines, one colour a group, with a rule at zero."""
    base = alt.Chart(alt.InlineData(values=list(rows)), title=title, width=420, height=240)
    zero = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(color="#8a8f98").encode(y="zero:Q")
    curves = base.mark_line(point=True).encode(
        x=alt.X(f"{x}:Q", title=x, axis=alt.Axis(tickMinStep=1)),
        y=alt.Y(f"{y}:Q", title=y),
        color=alt.Color(f"{group}:N", title=group, scale=alt.Scale(scheme="tableau10")),
        tooltip=[f"{group}:N", f"{x}:Q", alt.Tooltip(f"{y}:Q", format=".3f")],
    )
    chart: Chart = zero + curves
    return chart


def intervals(rows: Sequence[Mapping[str, Any]], x: str, title: str, zero: bool = False) -> Chart:
    """A point and a bar a row, in the order of rows: ``name``, ``value``, and ``low`` and ``high`` where known.

    ``zero`` draws a rule at 0. An optional ``group`` gives colour and shape.
    """
    order = list(dict.fromkeys(row["name"] for row in rows))
    base = alt.Chart(alt.InlineData(values=list(rows)), title=title, width=420, height=max(60, 20 * len(order)))
    y = alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=360))
    title_x = x.replace("_", " ")
    bars = base.mark_rule(strokeWidth=2).encode(y=y, x=alt.X("low:Q", title=title_x), x2="high:Q")
    tooltip = ["name:N", *(alt.Tooltip(f"{key}:Q", format=".4g") for key in ("value", "low", "high"))]
    points = base.mark_point(filled=True, size=60).encode(
        y=y, x=alt.X("value:Q", title=title_x, scale=alt.Scale(zero=zero)), tooltip=tooltip
    )
    if any("group" in row for row in rows):
        scale = alt.Scale(scheme="tableau10")
        bars = bars.encode(color=alt.Color("group:N", scale=scale, legend=None))
        points = points.encode(
            color=alt.Color("group:N", title=None, scale=scale), shape=alt.Shape("group:N", title=None)
        )
    else:
        bars, points = bars.encode(color=alt.value(ACCENT)), points.encode(color=alt.value(ACCENT))
    layers = [bars, points]
    if zero:
        layers.insert(0, alt.Chart(alt.InlineData(values=[{"at": 0}])).mark_rule(color="#8a8f98").encode(x="at:Q"))
    chart: Chart = alt.layer(*layers)
    return chart


def strip(own: Mapping[str, float], peers: Mapping[str, float], x: str, title: str) -> Chart:
    """One target's value among its peers': a tick for each peer, a large point for the target."""
    rows = [{"name": name, "value": value, "kind": "other models"} for name, value in peers.items()]
    mine = [{"name": name, "value": value, "kind": "this model"} for name, value in own.items()]
    axis = alt.X("value:Q", title=x.replace("_", " "), scale=alt.Scale(zero=False))
    tooltip = ["name:N", alt.Tooltip("value:Q", format=".4g")]
    ticks = (
        alt.Chart(alt.InlineData(values=rows), title=title, width=520, height=60)
        .mark_tick(thickness=2, size=28, opacity=0.7, color="#6b7078")
        .encode(x=axis, tooltip=tooltip)
    )
    point = (
        alt.Chart(alt.InlineData(values=mine))
        .mark_point(filled=True, size=140, shape="diamond", color=ACCENT, opacity=1)
        .encode(x=axis, tooltip=tooltip)
    )
    chart: Chart = alt.layer(ticks, point)
    return chart
