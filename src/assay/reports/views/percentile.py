"""What a place among other models shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.analysis.percentile import Placed
from assay.analysis.position import FEWEST, meaning
from assay.reports.views.page import Cell, Table, View

if TYPE_CHECKING:
    from assay.reports.views.pictures import Chart


def view(target: str, found: list[Placed]) -> View:
    """The percentiles, and where the peers lie."""
    rows: list[list[Cell]] = []
    notes = ["95 % intervals: Clopper and Pearson's, for the peers as a sample of all such models."]
    alone = sum(one.percentile is None for one in found)
    if alone:
        notes.append(f"In {alone} of {len(found)} ways of measuring, fewer than {FEWEST} other models were measured.")
    for one in found:
        if one.percentile is None:
            continue
        p = one.percentile
        numbers = (round(one.value, 4), round(p.value, 1), round(p.low, 1), round(p.high, 1), p.n)
        rows.append([one.protocol, p.metric, *numbers])
        words = meaning(p.metric)
        if words:
            notes.append(f"{one.protocol}: {words} than {p.value:.0f} % of the {p.n} other models.")
    head = ("protocol", "metric", "value", "percentile", "low", "high", "other models")

    def charts() -> list[Chart]:
        from assay.reports.views.pictures import strip

        return [
            strip({target: one.value}, one.peers, one.percentile.metric, one.protocol)
            for one in found
            if one.percentile is not None
        ]

    return View(f"{target} among its peers", notes, [Table(target, head, rows)] if rows else [], charts)
