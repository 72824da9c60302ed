"""Numbers of many models under one protocol, and each model's place among the others.

Two outcomes have one protocol if method, version, options, serving and the data's names and sizes are the same
(`assay.analysis.measured.protocol`). Of several seeds the mean counts. Protocols are never mixed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from assay.analysis.measured import protocol
from assay.analysis.position import FEWEST
from assay.base.digests import digest_json
from assay.base.intervals import clopper_pearson
from assay.methods.metric import Metric
from assay.reports.explorer.findings import described, finite
from assay.reports.explorer.models import Model
from assay.studies.outcome import Outcome

DIGITS = 10
"""Of a protocol's digest, in the name of its file."""

Place = tuple[float, float, float]
"""The share of the others that lie below, and its interval, in [0, 1]."""


class Protocols(NamedTuple):
    """``of`` maps a trial to its protocol, the others a protocol to its description and its numbers; all by ids."""

    of: dict[str, str]
    described: dict[str, Any]
    columns: dict[str, Any]


def protocols(models: Sequence[Model], known: dict[str, str]) -> Protocols:
    """Every protocol of these models. ``known`` keeps the protocols of trials from one call to the next."""
    groups: dict[str, list[tuple[str, Outcome]]] = defaultdict(list)
    of = {}
    for model in models:
        for outcome in model.outcomes:
            if outcome.key not in known:
                known[outcome.key] = digest_json(protocol(outcome))[:DIGITS]
            of[outcome.key] = known[outcome.key]
            groups[of[outcome.key]].append((model.key, outcome))
    columns = {name: _columns(found) for name, found in groups.items()}
    index = {
        name: described(
            found[0][1],
            [[column["name"], column["label"], column["unit"]] for column in columns[name]["metrics"]],
            len(columns[name]["models"]),
        )
        for name, found in groups.items()
    }
    return Protocols(of, index, {name: column for name, column in columns.items() if column["metrics"]})


def _columns(found: Sequence[tuple[str, Outcome]]) -> dict[str, Any]:
    """The mean over seeds of every metric of every model; and places, where there are enough models."""
    numbers: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    metrics: dict[str, Metric] = {}
    done = sorted({model for model, outcome in found if outcome.status == "done"})
    for model, outcome in found:
        for metric in outcome.metrics:
            metrics.setdefault(metric.name, metric)
            if (value := finite(metric.value)) is not None:
                numbers[metric.name][model].append(value)
    columns = []
    for name, metric in metrics.items():
        means = {model: fmean(values) for model, values in numbers[name].items()}
        risk = metric.scale.risk if metric.scale else None
        # Of a number that falls with the risk, the share of others that lie above is the share that is less at risk.
        way = -1.0 if risk == "down" else 1.0
        found_places = dict(zip(means, places([way * value for value in means.values()]), strict=True))
        columns.append(
            {
                "name": name,
                "label": metric.label,
                "unit": metric.unit,
                "risk": risk,
                "values": [means.get(model) for model in done],
                "places": [found_places.get(model) for model in done],
            }
        )
    return {"models": done, "metrics": columns}


def places(values: Sequence[float]) -> list[Place | None]:
    """For each value the share of the others below it, as `assay.analysis.position.place` gives it, three decimals.

    None throughout where a value has fewer than `FEWEST` others.
    """
    others = len(values) - 1
    if others < FEWEST:
        return [None] * len(values)
    ordered = np.sort(values)
    left, right = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    below = left + 0.5 * (right - left - 1)
    exact = {float(count): clopper_pearson(float(count), others) for count in np.unique(below)}
    return [
        (round(count / others, 3), round(exact[count].low, 3), round(exact[count].high, 3)) for count in below.tolist()
    ]
