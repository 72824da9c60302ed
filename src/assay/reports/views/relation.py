"""What correlations of metrics over models show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.analysis.relation import Related
from assay.reports.views.catalogue import correlations
from assay.reports.views.page import Cell, Table, View

if TYPE_CHECKING:
    from assay.reports.views.pictures import Chart


def view(found: Related) -> View:
    """Every model's numbers in the order of x, the correlations, and a picture."""
    by_x = sorted(found.values[found.x], key=lambda model: found.values[found.x][model])
    rows: list[list[Cell]] = [[model, *(column.get(model) for column in found.values.values())] for model in by_x]
    plain = correlations(found.correlated)
    title = f"{found.x} and {', '.join(group.name for group in found.correlated.groups)}"

    def charts() -> list[Chart]:
        from assay.reports.views.pictures import scatter

        points = [
            {"name": model, "metric": group.name, found.x: found.values[found.x][model], "value": value}
            for group in found.correlated.groups
            for model, value in found.values[group.name].items()
            if model in found.values[found.x]
        ]
        return [scatter(points, found.x, "value", "metric", f"Models by {found.x.replace('_', ' ')}")]

    return View(title, plain.notes, [Table("Models", ("model", *found.values), rows), *plain.tables], charts)
