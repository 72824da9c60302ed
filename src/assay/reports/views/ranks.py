"""What an order of models or methods shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from assay.analysis.ranks import Ranked
from assay.analysis.scored import Contest
from assay.reports.views.page import Cell, Table, View

if TYPE_CHECKING:
    from assay.reports.views.pictures import Chart


def view(contest: Contest, found: Ranked) -> View:
    """The order, its intervals, and how alike the seeds' orders are."""
    rows: list[list[Cell]] = [
        [one.name, round(one.score, 4), one.rank, one.low, one.high, round(one.first, 3)] for one in found.ranks
    ]
    told: list[list[Cell]] = [[f"{one.seeds[0]} and {one.seeds[1]}", round(one.value, 4)] for one in found.taus]
    notes = [
        f"{contest.score}, mean over {contest.n} samples and the seeds; rank 1 is the highest. "
        "95 % intervals resample samples (4,000 times), the same for all."
    ]
    if found.taus:
        values, seeds = [one.value for one in found.taus], {seed for one in found.taus for seed in one.seeds}
        notes.append(
            f"Kendall's tau of two seeds' orders: {np.mean(values):.2f} on average, {min(values):.2f} to "
            f"{max(values):.2f}. It has no interval: {len(seeds)} seeds are few."
        )
    else:
        notes.append("No two seeds are there for all of them: how the order depends on the seed is not known.")
    tables = [Table("Ranks", ("name", "mean", "rank", "low", "high", "share of firsts"), rows)]
    if told:
        tables.append(Table("Kendall's tau", ("seeds", "tau"), told))

    def charts() -> list[Chart]:
        from assay.reports.views.pictures import intervals

        drawn = [{"name": one.name, "value": one.rank, "low": one.low, "high": one.high} for one in found.ranks]
        return [intervals(drawn, "rank", "Ranks")]

    return View("Ranks", notes, tables, charts)
