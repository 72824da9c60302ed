"""What an order of models or methods shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from assay.analysis.ranks import Rank, Ranked
from assay.analysis.scored import Contest
from assay.reports.views.comparisons import described, significant
from assay.reports.views.page import Cell, Table, View

if TYPE_CHECKING:
    from assay.reports.views.pictures import Chart

FIRST = {
    "up": "Rank 1 is the riskiest: the highest.",
    "down": "Rank 1 is the riskiest: the lowest.",
    None: "Rank 1 is the highest.",
}


def view(contest: Contest, found: Ranked) -> View:
    """The order, its intervals, and how alike the seeds' orders are."""
    told: list[list[Cell]] = [[f"{one.seeds[0]} and {one.seeds[1]}", round(one.value, 4)] for one in found.taus]
    notes = [*described(contest), f"{FIRST[contest.risk]} {_how(contest, found.ranks)}", *_seeds(found)]
    heads = ("name", "mean", "rank", "low", "high", "share of firsts")
    tables = [Table("Ranks", heads, [_row(one) for one in found.ranks])]
    if told:
        tables.append(Table("Kendall's tau", ("seeds", "tau"), told))

    def charts() -> list[Chart]:
        from assay.reports.views.pictures import intervals

        drawn = [
            {"name": one.name, "value": one.rank, "low": one.low, "high": one.high}
            for one in found.ranks
            if one.low is not None
        ]
        return [intervals(drawn, "rank", "Ranks")] if drawn else []

    return View("Ranks", notes, tables, charts)


def _row(one: Rank) -> list[Cell]:
    return [
        one.name,
        significant(one.score),
        one.rank,
        one.low,
        one.high,
        None if one.first is None else round(one.first, 3),
    ]


def _how(contest: Contest, ranks: list[Rank]) -> str:
    if ranks[0].low is None:
        return "Ranks have no interval, because a number has none."
    if contest.kind == "published":
        return "95 % intervals draw each number anew within its own interval (4,000 times)."
    return "95 % intervals resample samples (4,000 times), the same for all."


def _seeds(found: Ranked) -> list[str]:
    if not found.taus:
        return ["No two seeds are there for all of them: how the order depends on the seed is not known."]
    values, seeds = [one.value for one in found.taus], {seed for one in found.taus for seed in one.seeds}
    return [
        f"Kendall's tau of two seeds' orders: {np.mean(values):.2f} on average, {min(values):.2f} to "
        f"{max(values):.2f}. It has no interval: {len(seeds)} seeds are few."
    ]
