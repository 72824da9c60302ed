"""What a comparison of models or methods shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from assay.analysis.comparison import Pair
from assay.analysis.scored import Contest
from assay.reports.views.page import Cell, Table, View

if TYPE_CHECKING:
    from assay.reports.views.pictures import Chart

HEAD = ("first", "second", "difference", "low", "high", "samples", "first only", "second only", "p", "Holm p", "test")
DIRECTIONS = {"up": "Higher is riskier.", "down": "Lower is riskier.", None: "It is not judged: no direction is worse."}


def view(contest: Contest, pairs: list[Pair]) -> View:
    """The contestants, the pairs, and a picture of their differences."""
    means = {one.name: float(contest.by_seed(one).mean()) for one in contest.contestants}
    ordered = sorted(contest.contestants, key=lambda one: means[one.name], reverse=contest.risk != "down")
    rows: list[list[Cell]] = [[one.name, len(one.seeds), significant(means[one.name])] for one in ordered]

    def charts() -> list[Chart]:
        from assay.reports.views.pictures import intervals

        drawn = [
            {
                "name": f"{pair.first} less {pair.second}",
                "value": pair.difference,
                "low": pair.interval.low,
                "high": pair.interval.high,
            }
            for pair in pairs
            if pair.interval
        ]
        return [intervals(drawn, contest.score, "Differences", zero=True)] if drawn else []

    tables = [
        Table("Contestants", ("name", "seeds", "mean"), rows),
        Table("Pairs", HEAD, [_row(pair) for pair in pairs]),
    ]
    return View("Compared", [*described(contest), *_how(contest, pairs)], tables, charts)


def described(contest: Contest) -> list[str]:
    """What is compared, which way it is worse, and on what samples, in sentences."""
    notes = [f"{contest.score}. {DIRECTIONS[contest.risk]}"]
    if contest.kind == "published":
        notes.append("No samples of it are shared by all: the numbers are compared as they were published.")
    else:
        left = f"; {contest.left_out} do not count for some." if contest.left_out else "."
        notes.append(f"{contest.n} samples count for all{left}")
    return [*notes, *contest.notes]


def significant(value: float) -> float | None:
    """A number as a cell: four decimals, or three significant digits where those would show nothing."""
    if not math.isfinite(value):
        return None
    return round(value, 4) if abs(value) >= 0.01 or value == 0 else float(f"{value:.3g}")


def _how(contest: Contest, pairs: list[Pair]) -> list[str]:
    notes = [f"Holm's p is over the {sum(pair.p is not None for pair in pairs)} pairs that have a p."]
    if any(pair.n for pair in pairs):
        notes.append("Pairs with samples are compared on those that count for both; intervals speak of no other seeds.")
    if any(not pair.n for pair in pairs):
        notes.append(
            "Pairs without samples are compared as if measured on separate ones: their intervals are combined, and p "
            "takes the difference as normal. A number without an interval (a p-value, say) has a difference and no p."
        )
    return notes


def _row(pair: Pair) -> list[Cell]:
    return [
        pair.first,
        pair.second,
        significant(pair.difference),
        significant(pair.interval.low) if pair.interval else None,
        significant(pair.interval.high) if pair.interval else None,
        pair.n or None,
        pair.only_first,
        pair.only_second,
        None if pair.p is None else float(f"{pair.p:.2g}"),
        None if pair.holm is None else float(f"{pair.holm:.2g}"),
        pair.test,
    ]
