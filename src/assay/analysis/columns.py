"""Correlations between two columns of somebody's table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from assay.analysis.correlation import (
    Correlation,
    Without,
    benjamini_hochberg,
    correlate,
    holm,
    rank_interval,
    without_lowest,
    without_most_influential,
)
from assay.base.errors import DataError, LoadError, UsageError, nearest
from assay.base.intervals import Bounds, Floats

SUFFIXES = (".csv", ".parquet")
KS = (0, 1, 3, 5)
FEWEST = 4 + max(KS)


class Group(NamedTuple):
    """One group's correlation, what is left of it without its lowest x and without its most supporting pairs."""

    name: str
    correlation: Correlation
    rho_interval: Bounds
    holm: float
    bh: float
    without_lowest: list[Without]
    without_most_influential: list[Without]
    x: Floats
    y: Floats


class Correlated(NamedTuple):
    """All groups, and those with fewer than `FEWEST` pairs or a constant side, which have no correlation."""

    x: str
    y: str
    groups: list[Group]
    left_out: list[str]


def is_table(path: Path) -> bool:
    """Whether a file is a table of columns, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def correlate_columns(path: Path, x: str, y: str, by: str | None) -> Correlated:
    """Correlations of two columns of a CSV or Parquet file, by the values of a third.

    Rows that lack one of the two numbers are left out.

    Raises:
        UsageError: if the file or a column is not there; the message names the nearest.
        LoadError: if the file cannot be read.
        DataError: if a column does not hold numbers, or no group has enough pairs.
    """
    columns = _columns(path, [name for name in (x, y, by) if name is not None])
    a, b = (_numbers(path, name, columns[name]) for name in (x, y))
    groups = np.array([str(value) for value in columns[by]]) if by else np.full(len(a), "all")
    known = np.isfinite(a) & np.isfinite(b)
    parts = [(str(name), *(side[known & (groups == name)] for side in (a, b))) for name in sorted(set(groups[known]))]
    found = correlate_groups(x, y, parts)
    if not found.groups:
        raise DataError(f"No group of {path.name} has {FEWEST} rows with both {x} and {y}, varying.")
    return found


def correlate_groups(x: str, y: str, parts: Sequence[tuple[str, Floats, Floats]]) -> Correlated:
    """Correlations of named groups of finite pairs (n,), (n,), with what the two sides are called."""
    enough = [len(a) >= FEWEST and np.ptp(a) > 0 and np.ptp(b) > 0 for _, a, b in parts]
    left_out = [f"{name} ({len(a)})" for (name, a, _), kept in zip(parts, enough, strict=True) if not kept]
    kept = list(compress(parts, enough))
    found = [correlate(a, b) for _, a, b in kept]
    strict, mild = (adjust([one.p for one in found]) for adjust in (holm, benjamini_hochberg))
    groups = [
        Group(
            name,
            found[i],
            rank_interval(a, b),
            float(strict[i]),
            float(mild[i]),
            without_lowest(a, b, a, KS),
            without_most_influential(a, b, KS),
            a,
            b,
        )
        for i, (name, a, b) in enumerate(kept)
    ]
    return Correlated(x, y, groups, left_out)


def _columns(path: Path, names: list[str]) -> dict[str, list[object]]:
    import duckdb

    if not path.exists():
        raise UsageError(f"There is no file {path}.")
    reader = "read_parquet" if path.suffix.lower() == ".parquet" else "read_csv"
    try:
        relation = duckdb.connect(":memory:").sql(f"select * from {reader}(?)", params=[str(path)])
        known = relation.columns
        rows = relation.fetchall()
    except duckdb.Error as error:
        raise LoadError(f"{path.name} cannot be read as a table: {str(error).splitlines()[0]}.") from error
    for name in names:
        if name not in known:
            raise UsageError(f"{path.name} has no column {name!r}: {nearest(name, known)}")
    return {name: [row[known.index(name)] for row in rows] for name in names}


def _numbers(path: Path, name: str, values: list[object]) -> Floats:
    try:
        return np.array([np.nan if value is None else float(value) for value in values])  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise DataError(f"The column {name!r} of {path.name} does not hold numbers.") from None
