"""What a result is compared with: the same measurement of another model, and the samples that both share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from assay.analysis.difference import Difference, independent, on_samples
from assay.analysis.samples import outcomes_of, same_data, samples_of, scores_of
from assay.methods.metric import Metric
from assay.reports.results import Result
from assay.studies.outcome import Outcome


class Measured(NamedTuple):
    """A number, the outcome that it is of, and the folder of the outcomes' files if it is known."""

    metric: Metric
    outcome: Outcome
    artefacts: Path | None


def counterpart(result: Result, baseline: Sequence[Result]) -> Result | None:
    """The baseline's result for a target: of two single ones each other, else by the target's name, then its digest."""
    target = result.report.target
    named = [other for other in baseline if other.report.target.name == target.name]
    exact = [other for other in named if other.report.target.digest == target.digest]
    if len(baseline) == 1 and not named:
        return baseline[0]
    return exact[0] if exact else named[0] if len(named) == 1 else None


def same_measurement(outcome: Outcome, result: Result) -> Outcome | str:
    """The finished outcome of the same method, version and options, of the same seed if there is one; or why not."""
    ran = [other for other in result.report.outcomes if other.method.name == outcome.method.name]
    done = [other for other in ran if other.status == "done"]
    if not done:
        why = ran[0].reason if ran else "it was not run"
        return f"The baseline has no {outcome.method.name}: {why.rstrip('.')}."
    alike = [other for other in done if other.method.version == outcome.method.version]
    if not alike:
        return f"The baseline's {outcome.method.name} is of another version of the method; measure the baseline again."
    alike = [other for other in alike if other.method.options == outcome.method.options]
    if not alike:
        return f"The baseline's {outcome.method.name} was run with other options; measure both with the same."
    return next((other for other in alike if other.seed == outcome.seed), alike[0])


def compare(new: Measured, old: Measured, alpha: float) -> Difference:
    """The difference of two numbers: on the samples that both kept of it, else by their intervals, else alone.

    Samples are the outcomes whose mean the metric is, or the scores whose area under the ROC curve it is, of the same
    data; see `assay.analysis.difference` for what is made of them.
    """
    kept = [samples_of(one.outcome, one.artefacts) for one in (new, old)]
    for column_of in (outcomes_of, scores_of):
        columns = [column for samples in kept if (column := column_of(samples, new.metric.name)) is not None]
        if len(columns) < len(kept):
            continue
        parts = {part for column in columns for part, _ in column.keys}
        found = on_samples(columns[0], columns[1], 100.0 if new.metric.unit == "%" else 1.0, alpha)
        if found is not None and same_data([new.outcome, old.outcome], parts):
            return found
    return independent(new.metric, old.metric, alpha)
