"""Contestants of a workspace: models, methods or both, by the number that their verdicts rest on or by another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.analysis.difference import placements
from assay.analysis.samples import (
    Aligned,
    Column,
    align,
    expression_of,
    outcomes_of,
    same_data,
    samples_of,
    scores_of,
)
from assay.base.digests import canonical_json
from assay.base.errors import DataError, UsageError, nearest
from assay.base.intervals import CHUNK, Floats
from assay.methods.metric import Metric, Risk
from assay.studies.outcome import Outcome
from assay.studies.workspace import Workspace

MOST = 100
"""Contestants that are compared each with each: 4,950 pairs."""

Kind = Literal["outcomes", "scores", "published"]
"""Numbers whose mean is compared; scores whose area under the ROC curve is; or numbers as they were published."""


class Scored(NamedTuple):
    """A contestant (a model, a method, or both) under its seeds, in order.

    ``values`` are (seeds, n): the samples of the contest, NaN where one does not count; n = 0 for published numbers.
    ``metrics`` are the numbers as they were published, one a seed; none where a column is compared that is no metric.
    """

    name: str
    seeds: tuple[int, ...]
    values: Floats
    metrics: tuple[Metric, ...] = ()


class Contest(NamedTuple):
    """At least two contestants, and what of them is compared.

    ``score`` names it. ``risk`` is the direction in which it gets worse for the owner, None where it is not judged;
    ``scale`` multiplies means of samples to give the metric's unit. ``positive`` (n,) says which samples scores should
    find. ``notes`` say what was left out and why.
    """

    score: str
    contestants: list[Scored]
    kind: Kind = "outcomes"
    risk: Risk | None = None
    scale: float = 1.0
    positive: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Samples that count for all contestants under all seeds."""
        return int(np.sum(np.isfinite(np.concatenate([one.values for one in self.contestants])).all(axis=0)))

    @property
    def left_out(self) -> int:
        """Samples that do not count for all of them."""
        return int(self.contestants[0].values.shape[1]) - self.n

    def by_seed(self, one: Scored) -> Floats:
        """A contestant's number under each of its seeds (seeds,), in the metric's unit."""
        if self.kind == "published":
            return np.array([metric.value for metric in one.metrics], dtype=np.float64)
        return np.asarray(self.scale * np.nanmean(self.placed(one), axis=1))

    def placed(self, one: Scored) -> Floats:
        """The numbers (seeds, n) whose mean is a contestant's: outcomes, or the placements of its scores."""
        if self.positive is None:
            return one.values
        found = np.full_like(one.values, np.nan)
        for row, scores in zip(found, one.values, strict=True):
            known = np.isfinite(scores)
            row[known] = placements(scores[known], self.positive[known])
        return found


def read_contest(workspace: Workspace, method: str | None = None, score: str | None = None, only: str = "") -> Contest:
    """The contestants of a workspace, by a metric or by a column of their samples.

    A contestant is a target under a method with its options and serving; its seeds are kept apart. By default the
    metric is the one that the verdicts rest on (where fewer than two of them have a value, the first metric that two
    have, and a note says so), on the shared samples if all contestants kept them (its outcomes, or
    the scores whose area under the ROC curve it is), else as it was published. ``score`` names another metric or a
    column of the samples, or is ``A=B``: 1 where two columns agree. ``only`` keeps the contestants whose names contain
    it.

    Raises:
        UsageError: if no method or score of that name is there, the verdicts rest on metrics that cannot be compared,
            or more than `MOST` contestants are left.
        DataError: if there are fewer than two contestants, or a column was measured on different data.
    """
    outcomes = of_method(workspace.outcomes(), method)
    chosen = [one for name, one in zip(labels(outcomes), outcomes, strict=True) if only in name]
    _enough(chosen)
    if score is not None and ("=" in score or not all(_reports(one, score) for one in chosen)):
        return _by_column(workspace, chosen, score)
    decided = score or _decided(chosen)
    name = decided if score else _valued(chosen, decided)
    valued = [one for one in chosen if _has_value(one, name)]
    notes = tuple(
        f"{one.target.name} ({one.method.name}, seed {one.seed}) is left out: {_why_none(one, name)}"
        for one in chosen
        if one not in valued
    )
    _enough(valued)
    if name != decided:
        notes = (f"The verdicts rest on {decided}, which has no value here; compared is {name}.", *notes)
    return _by_metric(workspace, valued, name)._replace(notes=notes)


def _by_metric(workspace: Workspace, outcomes: Sequence[Outcome], name: str) -> Contest:
    metric = outcomes[0].metric(name)
    contest = Contest(
        metric.label or name,
        [],
        risk=next((scale.risk for one in outcomes if (scale := one.metric(name).scale)), None),
        scale=100.0 if metric.unit == "%" else 1.0,
    )
    kept = [samples_of(one, workspace.path / "artefacts") for one in outcomes]
    kinds: tuple[tuple[Kind, list[Column | None]], ...] = (
        ("outcomes", [outcomes_of(samples, name) for samples in kept]),
        ("scores", [scores_of(samples, name) for samples in kept]),
    )
    for kind, found in kinds:
        columns = [column for column in found if column is not None]
        if len(columns) == len(outcomes) and (aligned := _joined(outcomes, columns)) is not None:
            contestants = _grouped(outcomes, aligned.values, name)
            if any(len(seeds.values) and np.isnan(seeds.values).all(axis=1).any() for seeds in contestants):
                continue
            return contest._replace(contestants=contestants, kind=kind, positive=aligned.positive)
    return contest._replace(contestants=_grouped(outcomes, np.zeros((len(outcomes), 0)), name), kind="published")


def _by_column(workspace: Workspace, outcomes: Sequence[Outcome], score: str) -> Contest:
    columns = []
    for one in outcomes:
        samples = samples_of(one, workspace.path / "artefacts")
        if samples is None:
            raise DataError(f"{one.method.name} of {one.target.name} kept no samples, so there is no column {score!r}.")
        columns.append(expression_of(samples, score, one.method.name))
    aligned = _joined(outcomes, columns)
    if aligned is None:
        names = " and ".join(dict.fromkeys(one.target.name for one in outcomes))
        raise DataError(
            f"{names} were measured on different test images and cannot be paired: choose with --only those that "
            "share theirs."
        )
    if not np.isfinite(aligned.values).all(axis=0).any():
        raise DataError("No sample was measured by all of them.")
    return Contest(score, _grouped(outcomes, aligned.values, None))


def _joined(outcomes: Sequence[Outcome], columns: Sequence[Column]) -> Aligned | None:
    """Columns on one set of samples; None where they were measured on different data."""
    parts = {part for column in columns for part, _ in column.keys}
    return align(columns) if same_data(outcomes, parts) else None


def _grouped(outcomes: Sequence[Outcome], values: Floats, metric: str | None) -> list[Scored]:
    """Contestants with their seeds, from one row of values an outcome."""
    found: dict[str, dict[int, int]] = {}
    for place, (name, outcome) in enumerate(zip(labels(outcomes), outcomes, strict=True)):
        found.setdefault(name, {})[outcome.seed] = place
    return [
        Scored(
            name,
            tuple(sorted(seeds)),
            values[[seeds[seed] for seed in sorted(seeds)]],
            tuple(outcomes[seeds[seed]].metric(metric) for seed in sorted(seeds)) if metric else (),
        )
        for name, seeds in found.items()
    ]


def _enough(outcomes: Sequence[Outcome]) -> None:
    count = len(set(labels(outcomes)))
    if count < 2:
        here = "one is" if count else "none is"
        raise DataError(
            f"A comparison needs two contestants with a number, and {here} here: assess another model with the same "
            "method on the same data."
        )
    if count > MOST:
        raise UsageError(f"{count} contestants are too many to compare each with each; choose with --only.")


def _reports(outcome: Outcome, metric: str) -> bool:
    return any(one.name == metric for one in outcome.metrics)


def _decided(outcomes: Sequence[Outcome]) -> str:
    """The metric that most verdicts rest on among those that every outcome reports.

    Raises:
        UsageError: if there is none.
    """
    counts = Counter(one.verdict.metric for one in outcomes if one.verdict)
    common = [name for name, _ in counts.most_common() if all(_reports(one, name) for one in outcomes)]
    if not common:
        told = ", ".join(sorted({f"{one.verdict.metric} of {one.method.name}" for one in outcomes if one.verdict}))
        raise UsageError(f"The verdicts rest on different metrics ({told}): choose with --method, or name a --score.")
    return common[0]


def _has_value(outcome: Outcome, metric: str) -> bool:
    return any(one.name == metric and one.value is not None for one in outcome.metrics)


def _why_none(outcome: Outcome, metric: str) -> str:
    return outcome.metric(metric).note if _reports(outcome, metric) else f"it reports no {metric}."


def _valued(outcomes: Sequence[Outcome], decided: str) -> str:
    """``decided`` if two contestants have a value of it, else the first metric of which two have; else ``decided``."""
    names = dict.fromkeys([decided, *(metric.name for one in outcomes for metric in one.metrics)])

    def contestants(name: str) -> int:
        return len(set(labels([one for one in outcomes if _has_value(one, name)])))

    return next((name for name in names if contestants(name) > 1), decided)


def of_method(outcomes: Sequence[Outcome], method: str | None) -> list[Outcome]:
    """Finished outcomes, of one method if it is named.

    Raises:
        UsageError: if there are none.
    """
    done = [one for one in outcomes if one.status == "done"]
    chosen = [one for one in done if method in (None, one.method.name)]
    if not chosen:
        known = {one.method.name for one in done}
        raise UsageError(
            f"No finished outcome is of the method {method!r}: {nearest(method, known)}"
            if method and known
            else "The workspace holds no finished outcome of this kind."
        )
    return chosen


def labels(outcomes: Sequence[Outcome], with_target: bool = True) -> list[str]:
    """A name for each outcome, from what differs among them: target, method, options, serving; never the seed."""
    parts = [_described(one) for one in outcomes]
    if not with_target:
        parts = [{**part, "target": ""} for part in parts]
    keys = dict.fromkeys(key for part in parts for key in part)
    varying = [key for key in keys if len({canonical_json(part.get(key)) for part in parts}) > 1]
    plain = {"target", "method"}
    names = [
        ", ".join(_text(part[key]) if key in plain else f"{key}={_text(part[key])}" for key in varying if key in part)
        for part in parts
    ]
    return [name or part["target"] or part["method"] for name, part in zip(names, parts, strict=True)]


def _described(outcome: Outcome) -> dict[str, Any]:
    method = outcome.method
    known: dict[str, Any] = {"target": outcome.target.name, "method": method.name}
    known |= {"version": method.version} | method.options
    return known | {f"serving.{name}": value for name, value in outcome.serving.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def resampled_means(values: Floats, seed: int, resamples: int) -> Floats:
    """Means (resamples, k) of k rows of numbers (k, n), over samples drawn anew; the same draw for all rows.

    A NaN does not count: a mean is over the drawn samples that do, and over all that do where none was drawn.
    """
    n = values.shape[1]
    generator = np.random.default_rng(seed)
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    parts, left = [], resamples
    while left:
        count = min(left, max(1, CHUNK // n))
        drawn = generator.multinomial(n, np.full(n, 1 / n), count)
        sums, counts = drawn @ filled.T, drawn @ known.T.astype(np.float64)
        usual = filled.sum(1) / np.maximum(known.sum(1), 1)
        parts.append(np.where(counts > 0, sums / np.maximum(counts, 1), usual))
        left -= count
    return np.concatenate(parts)
