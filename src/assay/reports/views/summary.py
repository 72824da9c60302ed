"""What means by method show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from assay.analysis.summary import Summary
from assay.reports.views.page import Cell, Table, View

if TYPE_CHECKING:
    from assay.reports.views.pictures import Chart


def view(found: Summary) -> View:
    """The lines, the variances, and a picture."""
    rows: list[list[Cell]] = []
    for line in found.lines:
        change = line.difference_interval
        rows.append(
            [
                line.name,
                line.targets,
                line.n,
                round(line.mean, 4),
                round(line.interval.low, 4),
                round(line.interval.high, 4),
                None if line.difference is None else round(line.difference, 4),
                round(change.low, 4) if change else None,
                round(change.high, 4) if change else None,
            ]
        )
    model = found.model
    head = ("", "targets", "outcomes", "mean", "low", "high", f"less {found.lines[0].name}", "less, low", "less, high")
    notes = [
        f"{model.n} outcomes of {model.groups} targets, in a linear model with a random intercept for each target "
        f"(REML); 95 % intervals: Student's t with {model.groups - 1} degrees of freedom.",
        f"Standard deviation between targets {np.sqrt(model.between):.4f}, within a target "
        f"{np.sqrt(model.within):.4f}; {100 * model.intraclass:.0f} % of the variance lies between targets.",
    ]

    def charts() -> list[Chart]:
        from assay.reports.views.pictures import intervals

        drawn = [
            {"name": line.name, "value": line.mean, "low": line.interval.low, "high": line.interval.high}
            for line in found.lines
        ]
        return [intervals(drawn, found.metric, "Means over targets")]

    return View(f"{found.metric} over targets and seeds", notes, [Table(found.metric, head, rows)], charts)
