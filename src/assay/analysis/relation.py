"""How metrics of a workspace's models go together: an attack's success and the accuracy gap, say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from assay.analysis.columns import FEWEST, Correlated, correlate_groups
from assay.analysis.measured import protocol
from assay.base.errors import DataError, UsageError, nearest
from assay.studies.outcome import Outcome

if TYPE_CHECKING:
    pass


class Related(NamedTuple):
    """``values[metric][model]`` of the models that have ``x``, and each other metric's correlation with it."""

    x: str
    values: dict[str, dict[str, float]]
    correlated: Correlated


def relate(outcomes: Iterable[Outcome], x: str, metrics: Sequence[str]) -> Related:
    """The correlation of each of several metrics with a metric x, over the models of a workspace.

    A metric that several methods report is named with its method, as ``membership.metrics:auc_loss``. Of several seeds
    the mean counts. Models that lack a number are left out of its correlation.

    Raises:
        UsageError: if no finished outcome has a metric of a name; the message names the nearest.
        DataError: if a metric was measured in more than one way, or on fewer than `columns.FEWEST` models with x.
    """
    done = [outcome for outcome in outcomes if outcome.status == "done"]
    values = {name: _values(done, name) for name in dict.fromkeys([x, *metrics])}
    parts = []
    for name in metrics:
        models = [model for model in values[x] if model in values[name]]
        a, b = (np.array([values[side][model] for model in models]) for side in (x, name))
        parts.append((name, a, b))
    found = correlate_groups(x, "value", parts)
    if not found.groups:
        raise DataError(f"No metric was measured on {FEWEST} models together with {x}, varying.")
    return Related(x, values, found)


def _values(outcomes: Sequence[Outcome], name: str) -> dict[str, float]:
    """Model to the value of one metric."""
    method, _, metric = name.rpartition(":")
    found: dict[str, list[float]] = defaultdict(list)
    ways: dict[str, set[str]] = defaultdict(set)
    for outcome in outcomes:
        for one in outcome.metrics:
            if one.name == metric and method in ("", outcome.method.name) and one.value is not None:
                found[outcome.target.name].append(one.value)
                ways[outcome.target.name].add(protocol(outcome))
    if not found:
        known = {one.name for outcome in outcomes for one in outcome.metrics}
        raise UsageError(f"No outcome of this workspace has a metric {name!r}: {nearest(metric, known)}")
    for model, several in ways.items():
        if len(several) > 1:
            raise DataError(
                f"{metric} of {model} was measured in several ways ({', '.join(sorted(several))}): name it as "
                f"METHOD:{metric}, or keep each way in a workspace of its own."
            )
    return {model: float(np.mean(numbers)) for model, numbers in found.items()}
