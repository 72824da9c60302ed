"""Pictures of services: who agrees with whom, accuracy for the price, and how far confidence can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from assay.analysis.change import Change
from assay.analysis.services import Comparison
from assay.reports.views.pictures import ACCENT, Chart

SIDE = 40
"""Pixels of a cell of a heat map."""


def agreement(compared: Comparison) -> Chart:
    """Agreement of every pair as a heat map, the true label among them: its row holds accuracies."""
    names = [service.name for service in compared.services]
    truth = "true label"
    cells = [(pair.first, pair.second, pair.agreement) for pair in compared.pairs]
    cells += [(truth, service.name, service.accuracy) for service in compared.services]
    rows = [{"first": a, "second": b, "agreement": share} for a, b, share in cells]
    rows += [{**row, "first": row["second"], "second": row["first"]} for row in rows]
    order = [*names, truth]
    side = SIDE * len(order)
    base = alt.Chart(
        alt.InlineData(values=rows), title=f"{compared.name}: agreement", width=side, height=side
    ).encode(
        x=alt.X("first:N", sort=order, title=None, axis=alt.Axis(labelAngle=-35)),
        y=alt.Y("second:N", sort=order, title=None),
    )  # fmt: skip
    shades = base.mark_rect().encode(
        color=alt.Color(
            "agreement:Q", title="agreement", scale=alt.Scale(scheme="blues", domain=[0, 1]), legend=None
        ),
        tooltip=["first:N", "second:N", alt.Tooltip("agreement:Q", format=".4f")],
    )  # fmt: skip
    texts = base.mark_text(fontSize=11).encode(
        text=alt.Text("agreement:Q", format=".2f"),
        color=alt.condition("datum.agreement > 0.6", alt.value("white"), alt.value("#1f2328")),
    )
    chart: Chart = shades + texts
    return chart


def prices(compared: Comparison) -> Chart | None:
    """Accuracy with its interval against the price (logarithmic); None where no service has a price.

    A name stands above its point, or below it where the nearest other accuracy is above.
    """
    known = [one.accuracy for one in compared.services if one.price_per_10k]
    rows = [
        {
            "service": one.name,
            "price": one.price_per_10k,
            "accuracy": one.accuracy,
            "low": one.interval.low,
            "high": one.interval.high,
            "best": one.name in compared.best,
            "below": _nearest_is_above(one.accuracy, known),
        }
        for one in compared.services
        if one.price_per_10k
    ]
    if not rows:
        return None
    dear = max(one.price_per_10k or 0.0 for one in compared.services)
    base = alt.Chart(
        alt.InlineData(values=rows), title=f"{compared.name}: accuracy for the price", width=270, height=200
    ).encode(
        x=alt.X(
            "price:Q",
            title="US dollars for 10,000 questions",
            scale=alt.Scale(type="log", domainMax=6 * dear),
            axis=alt.Axis(format="~g", tickCount=5),
        )
    )
    bars = base.mark_rule(color="#8a8f98").encode(y="low:Q", y2="high:Q")
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        y=alt.Y("accuracy:Q", title="accuracy", scale=alt.Scale(zero=False, padding=14)),
        color=alt.condition("datum.best", alt.value(ACCENT), alt.value("#b0b5bd")),
        tooltip=["service:N", "price:Q", alt.Tooltip("accuracy:Q", format=".4f")],
    )
    under, over = (
        base.transform_filter(f"datum.below === {below}")
        .mark_text(align="left", dx=5, dy=dy, fontSize=11)
        .encode(y="accuracy:Q", text="service:N")
        for below, dy in (("true", 11), ("false", -9))
    )
    chart: Chart = bars + points + under + over
    return chart


def _nearest_is_above(value: float, values: Sequence[float]) -> bool:
    above = [other - value for other in values if other > value]
    under = [value - other for other in values if other < value]
    return bool(above) and (not under or min(above) < min(under))


def reliability(compared: Comparison) -> Chart | None:
    """Share of right answers against confidence, with intervals; None where no confidence was recorded."""
    rows = [
        {"service": one.name, "confidence": b.confidence, "accuracy": b.accuracy, "low": b.interval.low,
         "high": b.interval.high, "answers": b.n}
        for one in compared.services
        if one.calibration
        for b in one.calibration.bins
    ]  # fmt: skip
    if not rows:
        return None
    order = [one.name for one in compared.services]
    base = alt.Chart(
        alt.InlineData(values=rows), title=f"{compared.name}: what confidence is worth", width=270, height=200
    ).encode(
        x=alt.X("confidence:Q", title="confidence", scale=alt.Scale(domain=[0, 1])),
        color=alt.Color("service:N", sort=order, title="service", scale=alt.Scale(scheme="tableau10")),
    )
    diagonal = alt.Chart(
        alt.InlineData(values=[{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}])
    ).mark_line(color="#8a8f98", strokeDash=[4, 4], strokeWidth=1)
    curves = base.mark_line(point=True).encode(
        y=alt.Y("accuracy:Q", title="share of right answers", scale=alt.Scale(domain=[0, 1])),
        tooltip=["service:N", "answers:Q", alt.Tooltip("confidence:Q", format=".3f"),
                 alt.Tooltip("accuracy:Q", format=".3f")],
    )  # fmt: skip
    bars = base.mark_rule(opacity=0.5).encode(y="low:Q", y2="high:Q")
    chart: Chart = diagonal.encode(x="confidence:Q", y="accuracy:Q") + bars + curves
    return chart


def changed(found: Sequence[Change]) -> Chart:
    """The change of accuracy by class and period with its interval; significant ones stand out."""
    rows = [
        {"period": f"{one.before} to {one.after}", "class": str(part.label), "change": part.accuracy.difference,
         "low": part.accuracy.interval.low, "high": part.accuracy.interval.high,
         "significant": part.label in one.significant}
        for one in found
        for part in one.classes
    ]  # fmt: skip
    order = list(dict.fromkeys(str(row["class"]) for row in rows))
    plain = alt.Chart(alt.InlineData(values=rows), width=360, height=160)
    zero = plain.mark_rule(color="#8a8f98").encode(y=alt.datum(0))
    base = plain.encode(x=alt.X("class:N", sort=order, title="true class", axis=alt.Axis(labelAngle=0)))
    bars = base.mark_rule().encode(y="low:Q", y2="high:Q", color=_significance())
    points = base.mark_point(filled=True, size=60, opacity=1).encode(
        y=alt.Y("change:Q", title="change of accuracy"),
        color=_significance(),
        tooltip=["period:N", "class:N", alt.Tooltip("change:Q", format=".3f")],
    )
    chart: Chart = (zero + bars + points).facet(
        row=alt.Row("period:N", title=None), title="Change of accuracy by class"
    )  # fmt: skip
    return chart


def _significance() -> alt.Color:
    return alt.Color(
        "significant:N", title="significant", scale=alt.Scale(domain=[True, False], range=[ACCENT, "#b0b5bd"])
    )
