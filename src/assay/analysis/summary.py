"""A metric over the targets and seeds of a workspace: what each method finds of a target like these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from assay.analysis.mixed import Mixed, fit
from assay.analysis.scored import labels, of_method
from assay.base.errors import UsageError, nearest
from assay.base.intervals import Bounds
from assay.studies.outcome import Outcome

if TYPE_CHECKING:
    pass


class Line(NamedTuple):
    """A method's mean over targets, and its difference from the first method (None for the first itself)."""

    name: str
    targets: int
    n: int
    mean: float
    interval: Bounds
    difference: float | None
    difference_interval: Bounds | None


class Summary(NamedTuple):
    """A line for each method and its options, and the one model they were fitted in."""

    metric: str
    lines: list[Line]
    model: Mixed


def summarise(outcomes: Sequence[Outcome], metric: str, method: str | None = None) -> Summary:
    """The means of a metric by method and options, with a random intercept for each target.

    All methods are fitted in one model, with one variance between targets and one within (seeds, and how differently
    methods fare on one target). Methods are told apart by what differs among them.

    Raises:
        UsageError: if no finished outcome has the metric.
        DataError: as `mixed.fit`.
    """
    done = of_method(outcomes, method)
    having = [(one, m.value) for one in done for m in one.metrics if m.name == metric and m.value is not None]
    if not having:
        known = {m.name for one in done for m in one.metrics}
        raise UsageError(f"No outcome of this workspace has a metric {metric!r}: {nearest(metric, known)}")
    chosen = [one for one, _ in having]
    names = labels(chosen, with_target=False)
    kinds = list(dict.fromkeys(names))
    targets = np.array([one.target.digest for one in chosen])
    place = np.array([kinds.index(name) for name in names])
    model = fit([value for _, value in having], np.eye(len(kinds))[place], targets)
    lines = []
    for i, kind in enumerate(kinds):
        mean, interval = model.estimate(np.eye(len(kinds))[i])
        change = model.estimate(np.eye(len(kinds))[i] - np.eye(len(kinds))[0]) if i else (None, None)
        here = place == i
        lines.append(Line(kind, len(set(targets[here])), int(here.sum()), mean, interval, *change))
    return Summary(metric, lines, model)
