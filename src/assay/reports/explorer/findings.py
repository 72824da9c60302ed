"""One outcome as its model's page shows it, and the protocols under which outcomes can be compared."""

from __future__ import annotations

import math
from typing import Any

from assay.methods.metric import Metric
from assay.reports.format import (
    asked,
    count,
    date,
    duration,
    fact,
    interval_source,
    interval_text,
    money,
    scale_text,
    value_text,
    words,
)
from assay.reports.pages import bar
from assay.studies.outcome import Outcome


def finding(outcome: Outcome, protocol: str) -> dict[str, Any]:
    """An outcome, its numbers spelled. ``protocol`` is the id of how it was measured."""
    spent = outcome.spent
    cost = {
        "queries": f"{asked(outcome)} images in {count(spent.calls, 'call')}, {money(spent.price)}"
        if outcome.serving
        else "",
        "forward passes": fact(spent.forwards),
        "gradients": fact(spent.gradients) if spent.gradients else "",
        "time": f"{duration(outcome.seconds)} on {outcome.device}",
        "started": date(outcome.started),
        "software": fact(outcome.versions),
        "files": count(len(outcome.artefacts), "file") if outcome.artefacts else "",
    }
    return {
        "key": outcome.key,
        "protocol": protocol,
        "status": outcome.status,
        "reason": outcome.reason,
        "seed": outcome.seed,
        "level": outcome.verdict.level if outcome.verdict else None,
        "sentence": outcome.verdict.sentence if outcome.verdict else "",
        "headline": outcome.verdict.metric if outcome.verdict else None,
        "metrics": [_metric(metric) for metric in outcome.metrics],
        "provenance": [[name, text] for name, text in cost.items() if text],
    }


def _metric(metric: Metric) -> list[Any]:
    """Name, label, value, interval, how it was computed, sample, note, its place on its scale, and the scale in words.

    The place is value, low, high and the thresholds, in percent of the scale, further right being riskier.
    """
    place = bar(metric)
    interval = metric.interval if metric.value is not None else None
    return [
        metric.name,
        metric.label,
        value_text(metric),
        interval_text(interval),
        interval_source(interval) if interval else "",
        fact(metric.n) if metric.n is not None else "",
        metric.note,
        [round(number, 2) for number in (*place[:3], *place.marks)] if place else None,
        scale_text(metric),
    ]


def described(outcome: Outcome, metrics: list[list[str]], models: int) -> dict[str, Any]:
    """A protocol by one of its outcomes, with its metrics (name, label, unit) and how many models were measured so."""
    method = outcome.method
    return {
        "method": method.name,
        "version": method.version,
        "family": method.family,
        "title": method.title,
        "access": method.access,
        "threat_model": method.threat_model,
        "paper": method.paper,
        "atlas": list(method.atlas),
        "options": [[words(name), fact(value)] for name, value in method.options.items()],
        "serving": [[words(name), fact(value)] for name, value in outcome.serving.items()],
        "data": [[words(name), f"{part.name}, {fact(part.size)}"] for name, part in outcome.target.data.items()],
        "metrics": metrics,
        "models": models,
    }


def finite(value: float | None) -> float | None:
    """A number that JSON can hold; None otherwise."""
    return value if value is not None and math.isfinite(value) else None
