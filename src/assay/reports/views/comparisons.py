"""What a comparison on the same samples shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.analysis.comparison import Pair
from assay.analysis.scored import Contest
from assay.reports.views.page import Cell, Table, View

if TYPE_CHECKING:
    from assay.reports.views.pictures import Chart


def view(contest: Contest, pairs: list[Pair]) -> View:
    """The contestants, the pairs, and a picture of their differences."""
    standing = sorted(contest.contestants, key=lambda one: -one.means.mean())
    rows: list[list[Cell]] = [[one.name, len(one.seeds), round(float(one.means.mean()), 4)] for one in standing]
    head = ("first", "second", "difference", "low", "high", "first only", "second only", "p", "Holm p", "test")
    told: list[list[Cell]] = [
        [
            pair.first,
            pair.second,
            round(pair.difference, 4),
            round(pair.interval.low, 4),
            round(pair.interval.high, 4),
            pair.only_first,
            pair.only_second,
            float(f"{pair.p:.2g}"),
            float(f"{pair.holm:.2g}"),
            pair.test,
        ]
        for pair in pairs
    ]
    notes = [
        f"{contest.score} of {contest.n} samples that all have"
        + (f"; {contest.left_out} that some lack are left out." if contest.left_out else "."),
        "95 % intervals resample samples (10,000 times), pairs together; they do not speak of other seeds. "
        f"Holm's p is over the {len(pairs)} pairs.",
    ]

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
        ]
        return [intervals(drawn, contest.score, "Differences on the same samples", zero=True)]

    tables = [Table("Contestants", ("name", "seeds", "mean"), rows), Table("Pairs", head, told)]
    return View("Compared on the same samples", notes, tables, charts)
