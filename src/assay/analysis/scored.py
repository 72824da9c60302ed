"""What a workspace kept of each sample, as one number a sample, contestant by contestant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from assay.base.digests import canonical_json
from assay.base.errors import DataError, UsageError, nearest
from assay.base.intervals import CHUNK, Floats
from assay.studies.outcome import Outcome
from assay.studies.workspace import Workspace

SAMPLES = "samples.parquet"
MOST = 100
"""Contestants that are compared each with each: 4,950 pairs."""
DEFAULTS = {"stealing": "target=surrogate", "evasion": "fooled"}
"""The score of a family whose samples have one that speaks for itself; others must be named."""


class Scored(NamedTuple):
    """A contestant (a model, a method, or both): what it scored on every sample that all contestants have.

    ``values`` are (seeds, n), the samples in the same order for all contestants.
    """

    name: str
    seeds: tuple[int, ...]
    values: Floats

    @property
    def means(self) -> Floats:
        """The mean over seeds of every sample (n,)."""
        return np.asarray(self.values.mean(0))


class Contest(NamedTuple):
    """At least two contestants on the same n samples; ``left_out`` counts samples that some contestant lacks."""

    score: str
    contestants: list[Scored]
    left_out: int

    @property
    def n(self) -> int:
        """Samples that all have."""
        return len(self.contestants[0].means)


Sample = tuple[bool, int]
"""Whether it is a member, and its row there."""


def read_contest(workspace: Workspace, method: str | None = None, score: str | None = None, only: str = "") -> Contest:
    """The contestants of a workspace, joined by the number of each sample.

    A contestant is a target under a method with its options and serving; its seeds are kept apart. ``score`` is a
    column of numbers, or ``A=B`` for 1 where two columns agree; by default agreement for stealing and success for
    evasion. ``only`` keeps the contestants whose names contain it.

    Raises:
        UsageError: if no method or score of that name is there, the family has no default score, or more than `MOST`
            contestants are left.
        DataError: if there are fewer than two contestants, or they were not measured on the same test images.
    """
    outcomes = [one for one in workspace.outcomes() if one.status == "done" and SAMPLES in one.artefacts]
    outcomes = of_method(outcomes, method)
    families = sorted({one.method.family for one in outcomes})
    if score is None:
        if len(families) != 1 or families[0] not in DEFAULTS:
            raise UsageError("Say with --score which column of the samples to compare, as COLUMN or COLUMN=COLUMN.")
        score = DEFAULTS[families[0]]
    chosen = [one for name, one in zip(labels(outcomes), outcomes, strict=True) if only in name]
    _same_images(chosen)
    names = labels(chosen)
    found: dict[str, dict[int, dict[Sample, float]]] = {name: {} for name in names}
    if len(found) < 2:
        here = "one is" if found else "none is"
        raise DataError(
            f"A comparison needs two contestants with samples, and {here} here: assess another model with the same "
            "method on the same data."
        )
    if len(found) > MOST:
        raise UsageError(f"{len(found)} contestants are too many to compare each with each; choose with --only.")
    for name, outcome in zip(names, chosen, strict=True):
        found[name][outcome.seed] = _read(workspace, outcome, score)
    common = set.intersection(*(set(rows) for seeds in found.values() for rows in seeds.values()))
    every = set.union(*(set(rows) for seeds in found.values() for rows in seeds.values()))
    if not common:
        raise DataError("No sample was measured by all of them.")
    rows = sorted(common)
    return Contest(
        score,
        [
            Scored(
                name,
                tuple(sorted(seeds)),
                np.array([[seeds[seed][row] for row in rows] for seed in sorted(seeds)]),
            )
            for name, seeds in found.items()
        ],
        len(every) - len(common),
    )


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


def _same_images(outcomes: Iterable[Outcome]) -> None:
    known: dict[str, str] = {}
    for outcome in outcomes:
        part = outcome.target.data.get("non_members")
        if part is not None:
            known.setdefault(part.digest, outcome.target.name)
    if len(known) > 1:
        one, other, *_ = known.values()
        raise DataError(
            f"{one} and {other} were measured on different test images and cannot be paired: choose with --only those "
            "that share theirs."
        )


def resampled_means(values: Floats, seed: int, resamples: int) -> Floats:
    """Means (resamples, k) of k columns of numbers (k, n), over samples drawn anew; the same draw for all columns."""
    n = values.shape[1]
    generator = np.random.default_rng(seed)
    parts, left = [], resamples
    while left:
        count = min(left, max(1, CHUNK // n))
        parts.append(generator.multinomial(n, np.full(n, 1 / n), count) @ values.T / n)
        left -= count
    return np.concatenate(parts)


def _read(workspace: Workspace, outcome: Outcome, score: str) -> dict[Sample, float]:
    import pyarrow.parquet as pq

    table = pq.read_table(workspace.artefacts(outcome.key) / SAMPLES)
    columns = []
    for name in ("row", *score.split("=")):
        if name not in table.column_names:
            raise UsageError(
                f"The samples of {outcome.method.name} have no column {name!r}: {nearest(name, table.column_names)}"
            )
        columns.append(table[name].to_numpy())
    values = columns[1] == columns[2] if len(columns) == 3 else columns[1]
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"The column {score!r} of the samples does not hold numbers.") from None
    members = table["member"].to_pylist() if "member" in table.column_names else [False] * len(numbers)
    return dict(zip(zip(members, columns[0].tolist(), strict=True), numbers.tolist(), strict=True))
