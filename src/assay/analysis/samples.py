"""What finished trials kept of each sample, read in one way for the gate, for comparisons and for ranks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.digests import digest_file
from assay.base.errors import UsageError, WorkspaceError, nearest
from assay.methods.finding import Samples
from assay.studies.outcome import Outcome
from assay.studies.samples import SAMPLES, read_samples

Floats = NDArray[np.float64]
Key = tuple[str, int]
"""A sample's part of the data, and its row there."""


class Column(NamedTuple):
    """One number a sample (n,), NaN where it does not count; ``positive`` (n,): which samples scores should find."""

    keys: list[Key]
    values: Floats
    positive: NDArray[np.bool_] | None = None


class Aligned(NamedTuple):
    """Several columns over the same n samples: ``values`` (k, n), NaN where one of them has no number."""

    values: Floats
    positive: NDArray[np.bool_] | None

    def shared(self) -> Aligned:
        """Only the samples that have a number in every column."""
        kept = np.isfinite(self.values).all(axis=0)
        return Aligned(self.values[:, kept], None if self.positive is None else self.positive[kept])


def samples_of(outcome: Outcome, artefacts: Path | None) -> Samples | None:
    """The samples of an outcome whose files lie in a folder of ``artefacts``, named by its key.

    None if it kept none, the folder is not known, or the file is not the one that was written with the outcome.
    """
    if artefacts is None or SAMPLES not in outcome.artefacts:
        return None
    file = artefacts / outcome.key / SAMPLES
    try:
        return read_samples(file) if digest_file(file) == outcome.artefacts[SAMPLES] else None
    except (OSError, WorkspaceError):
        return None


def outcomes_of(samples: Samples | None, metric: str) -> Column | None:
    """The column whose mean a metric is; None where there is none, or two samples have one key."""
    found = samples.outcomes.get(metric) if samples else None
    return None if samples is None or found is None else _column(samples, found)


def scores_of(samples: Samples | None, metric: str) -> Column | None:
    """The scores whose area under the ROC curve a metric is, with the samples that they should find; None as above."""
    found = samples.scores.get(metric) if samples else None
    if samples is None or found is None or samples.positive is None:
        return None
    column = _column(samples, found)
    return column and column._replace(positive=np.asarray(samples.positive, dtype=np.bool_))


def expression_of(samples: Samples, text: str, method: str) -> Column:
    """A column by its name, or for ``A=B`` whether two columns agree: 1, 0, or NaN where one of them is NaN.

    Raises:
        UsageError: if there is no such column, it holds no numbers, or two samples have one key.
    """
    table = samples.table()
    found = []
    for name in text.split("="):
        if name not in table:
            raise UsageError(f"The samples of {method} have no column {name!r}: {nearest(name, table)}")
        found.append(table[name])
    try:
        if len(found) == 2:
            values = np.where(_missing(found[0]) | _missing(found[1]), np.nan, found[0] == found[1])
        else:
            values = np.asarray(found[0], dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"The column {text!r} of the samples does not hold numbers.") from None
    column = _column(samples, values)
    if column is None:
        raise UsageError(f"The samples of {method} cannot be told apart: two of them have one part and row.")
    return column


def align(columns: Sequence[Column]) -> Aligned | None:
    """Columns joined by the keys of their samples; None where they disagree on what scores should find."""
    places = {key: place for place, key in enumerate(sorted({key for column in columns for key in column.keys}))}
    values = np.full((len(columns), len(places)), np.nan)
    positive = np.zeros(len(places), dtype=np.int8)
    for row, column in enumerate(columns):
        order = [places[key] for key in column.keys]
        values[row, order] = column.values
        if column.positive is not None:
            told = np.where(column.positive, 1, -1)
            if (positive[order] * told < 0).any():
                return None
            positive[order] = told
    return Aligned(values, positive > 0 if any(column.positive is not None for column in columns) else None)


def same_data(outcomes: Sequence[Outcome], parts: set[str]) -> bool:
    """Whether parts of the data are the same for all outcomes; a part that no target has, such as labels, always is."""
    return all(
        len({part.digest if (part := outcome.target.data.get(name)) else "" for outcome in outcomes}) == 1
        for name in parts
    )


def _column(samples: Samples, values: NDArray[Any]) -> Column | None:
    parts = np.broadcast_to(np.asarray(samples.part), len(samples)).tolist()
    keys = list(zip(parts, samples.row.tolist(), strict=True))
    return Column(keys, np.asarray(values, dtype=np.float64)) if len(set(keys)) == len(keys) else None


def _missing(column: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), dtype=np.bool_)
