"""Pictures of a catalogue and of correlations, as Vega-Lite charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

Chart = alt.Chart | alt.LayerChart | alt.VConcatChart
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
