"""Rules over grids: victims in columns, thieves in rows, one table a setting."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from assay.analysis.claims.evidence import Book, Missing, Number
from assay.analysis.claims.rules import Found, Point, Verdict, apart, rule, sided
from assay.analysis.correlation import pearson

Cells = dict[str, Number]


def _row(book: Book, study: str, table: str, row: str) -> Cells:
    rows = book.table(study, table)
    if row not in rows:
        raise Missing(f"the row {row} of {table}")
    return rows[row]


def _mean(cells: Cells, columns: Sequence[str]) -> float:
    found = [cells[name].value for name in columns if name in cells]
    if not found:
        raise Missing(", ".join(columns))
    return float(np.mean(found))


def counted(agreeing: int, total: int, share: float) -> Verdict:
    """A claim about most cells: at least the share agrees; at most the rest does; or between."""
    if agreeing >= share * total:
        return "reproduced"
    return "contradicted" if agreeing <= (1 - share) * total else "scope-limited"


@rule
def gaps(
    book: Book,
    study: str,
    tables: Sequence[str],
    rows: Sequence[str],
    plus: Sequence[str],
    minus: Sequence[str],
    side: int,
    share: float = 0.8,
) -> Found:
    """The mean over some columns lies above (or below) that over others in at least a share of all rows and tables."""
    points = []
    for table in tables:
        for row in rows:
            if row in book.table(study, table):
                cells = _row(book, study, table, row)
                points.append(Point(f"{table}, {row}", _mean(cells, plus) - _mean(cells, minus)))
    if not points:
        raise Missing(", ".join(rows))
    values = [point.value for point in points]
    agreeing = sum(side * value > 0 for value in values)
    text = f"{agreeing} of {len(values)} cells, {min(values):+.3f} to {max(values):+.3f}"
    return Found(counted(agreeing, len(values), share), text, points, ("", "difference of mean agreement"))


@rule
def trend(
    book: Book,
    study: str,
    steps: Sequence[Sequence[str]],
    plus: Sequence[str],
    side: int,
    minus: Sequence[str] = (),
) -> Found:
    """Means over columns (less those over others) rise, or fall, at every step of (table, row).

    All steps in the claimed direction reproduce; a last step on the wrong side of the first contradicts.
    """
    points = []
    for table, row in steps:
        cells = _row(book, study, table, row)
        points.append(Point(f"{table}, {row}", _mean(cells, plus) - (_mean(cells, minus) if minus else 0.0)))
    values = [point.value for point in points]
    up = [side * (b - a) > 0 for a, b in pairwise(values)]
    if all(up):
        verdict: Verdict = "reproduced"
    else:
        verdict = "scope-limited" if side * (values[-1] - values[0]) > 0 else "contradicted"
    return Found(verdict, " to ".join(f"{value:.3f}" for value in values), points)


@rule
def wins(book: Book, study: str, table: str, first: str, second: str, side: int, share: float = 0.8) -> Found:
    """The first row lies above (or below) the second in at least a share of the columns."""
    one, other = _row(book, study, table, first), _row(book, study, table, second)
    columns = [name for name in one if name in other]
    agreeing = sum(side * (one[name].value - other[name].value) > 0 for name in columns)
    points = [
        Point(name, cells[name].value, group=row) for row, cells in ((first, one), (second, other)) for name in columns
    ]
    return Found(counted(agreeing, len(columns), share), f"{agreeing} of {len(columns)} columns", points)


@rule
def accuracies(
    book: Book, study: str, tables: Sequence[str], rows: Sequence[str], side: int, share: float = 0.8
) -> Found:
    """R of the victims' accuracy and their agreement with a thief has a side, in at least a share of the cells."""
    points = []
    for table in tables:
        known = _row(book, study, table, "victim accuracy")
        for row in rows:
            cells = _row(book, study, table, row)
            names = [name for name in cells if name in known]
            x, y = (np.array([side_[name].value for name in names]) for side_ in (known, cells))
            points.append(Point(f"{table}, {row}", float(pearson(x, y))))
    values = [point.value for point in points]
    agreeing = sum(side * value > 0 for value in values)
    text = f"{agreeing} of {len(values)} cells, r {min(values):+.2f} to {max(values):+.2f}"
    return Found(counted(agreeing, len(values), share), text, points, ("", "r(victim accuracy, agreement)"))


@rule
def best_row(book: Book, study: str, table: str, row: str, column: str, others: Sequence[str] = ()) -> Found:
    """In a column the row has the highest number; it contradicts where another row's interval lies above it."""
    found = {
        name: cells[column]
        for name, cells in book.table(study, table).items()
        if column in cells and name != "victim accuracy" and (not others or name in (row, *others))
    }
    if row not in found or len(found) < 2:
        raise Missing(f"{row} and another row of {table}")
    rest = {name: one for name, one in found.items() if name != row}
    top = max(rest, key=lambda name: rest[name].value)
    mine, theirs = found[row], rest[top]
    points = [Point(name, one.value, one.low, one.high) for name, one in found.items()]
    return Found(
        sided(apart(mine, theirs), 1), f"{mine.value:.3f}; next {top} {theirs.value:.3f}", points, ("", column)
    )
