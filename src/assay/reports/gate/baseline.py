"""What a result is compared with: the same measurement of another model, and the samples that both share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import ArrowException

from assay.analysis.difference import FEWEST_PAIRS, Difference, independent, paired
from assay.base.digests import digest_file
from assay.methods.finding import Metric
from assay.reports.results import Result
from assay.studies.outcome import Outcome

SAMPLES = "samples.parquet"


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
    """The difference of two numbers, on shared samples where both kept outcomes of them; see `difference`."""
    if new.outcome.target.data == old.outcome.target.data:
        pairs = _pairs(_column(new), _column(old))
        if pairs is not None:
            return paired(*pairs, 100.0 if new.metric.unit == "%" else 1.0, alpha)
    return independent(new.metric, old.metric, alpha)


Column = dict[int, float]


def _column(measured: Measured) -> Column:
    """Row of the data to its outcome; empty where none was kept, or the file is not the one that was written."""
    metric, outcome, artefacts = measured
    if artefacts is None or SAMPLES not in outcome.artefacts:
        return {}
    file = artefacts / outcome.key / SAMPLES
    if not file.is_file() or digest_file(file) != outcome.artefacts[SAMPLES]:
        return {}
    try:
        names = pq.read_schema(file).names
        if metric.name not in names or "row" not in names:
            return {}
        table = pq.read_table(file, columns=["row", metric.name])
    except (OSError, ArrowException):
        return {}
    values = table[metric.name].to_numpy().astype(np.float64)
    rows = table["row"].to_numpy()
    return {int(row): float(value) for row, value in zip(rows, values, strict=True) if np.isfinite(value)}


def _pairs(new: Column, old: Column) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    shared = sorted(new.keys() & old.keys())
    if len(shared) < FEWEST_PAIRS:
        return None
    return np.array([new[row] for row in shared]), np.array([old[row] for row in shared])
