"""What a study measured, in one form for every rule: tables of rows of named numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator
from scipy import stats

from assay.base.errors import LoadError
from assay.base.files import write_text
from assay.base.frozen import Frozen

Origin = Literal["own-run", "released-table"]
At = Sequence[str]
"""Where a number stands: study, table, row, metric."""


class Missing(Exception):
    """A number that no study holds yet."""


class Number(Frozen):
    """A value with its 95 % interval where one is known, its values by seed, and what it was computed from.

    In a file it may be written as the list of its values by seed, or as a bare value.
    """

    value: float
    low: float | None = None
    high: float | None = None
    seeds: tuple[float, ...] = ()
    n: int | None = None
    how: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        if isinstance(given, list):
            return over_seeds(given)
        return {"value": given} if isinstance(given, int | float) else given


Tables = dict[str, dict[str, dict[str, Number]]]


class Evidence(Frozen):
    """A study's numbers: table, row, metric. ``origin`` says whether we ran it, or its authors released it.

    ``configuration`` is in words; ``date`` is the day of the run, or of the release.
    """

    study: str
    origin: Origin = "own-run"
    date: str = ""
    source: str = ""
    configuration: str = ""
    tables: Tables = Field(min_length=1)


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """The fields of a `Number`: mean and Student's 95 % interval over seeds; one seed has no interval."""
    array = np.asarray(values, dtype=np.float64)
    found: dict[str, Any] = {"value": float(array.mean()), "seeds": array.tolist(), "n": len(array)}
    if len(array) > 1:
        half = float(stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array)))
        found |= {"low": found["value"] - half, "high": found["value"] + half, "how": "t over seeds"}
    return found


class Book:
    """All evidence, and what was looked up in it since `forget`."""

    def __init__(self, studies: Iterable[Evidence]) -> None:
        self.studies = {one.study: one for one in studies}
        self.used: dict[str, Evidence] = {}

    def forget(self) -> None:
        """Start a new list of what is looked up."""
        self.used = {}

    def table(self, study: str, table: str) -> dict[str, dict[str, Number]]:
        """The rows of a table; `stealing` without it is answered by the tables that were published before.

        Raises:
            Missing: if no study holds it.
        """
        for name in (study, f"{study}-published"):
            found = self.studies.get(name)
            if found is not None and table in found.tables:
                self.used[name] = found
                return found.tables[table]
        raise Missing(f"the table {table} of the study {study}")

    def number(self, at: At) -> Number:
        """One number.

        Raises:
            Missing: if it is not there.
        """
        study, table, row, metric = at
        try:
            return self.table(study, table)[row][metric]
        except KeyError:
            raise Missing(f"{row}, {metric}, in the table {table}") from None


def read_evidence(path: Path) -> Evidence:
    """One file of evidence.

    Raises:
        LoadError: if it is not one; the message says where.
    """
    try:
        return Evidence.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise LoadError(f"{path.name} is not a file of evidence: {where}.") from error


def packaged() -> Book:
    """The evidence that comes with Assay."""
    with resources.as_file(resources.files(__package__) / "evidence") as folder:
        return Book(read_evidence(path) for path in sorted(folder.glob("*.json")))


def write_evidence(path: Path, evidence: Evidence) -> None:
    """Numbers to ten digits, sorted: the same evidence gives the same bytes."""
    content = evidence.model_dump(exclude_defaults=True)
    text = json.dumps(_rounded(content), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def _rounded(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_rounded(value) for value in content]
    return float(f"{content:.10g}") if isinstance(content, float) else content
