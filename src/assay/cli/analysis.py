"""``assay analysis``: numbers over many models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(name="analysis", help="Correlate what was measured of many models, and check published claims.")


@app.command
def correlate(
    table: Annotated[
        Path,
        Parameter(
            help="SecurityNet's released table: recomputes its claims. Or a .csv or .parquet file: needs --x and --y."
        ),
    ],
    /,
    *,
    x: Annotated[str | None, Parameter(help="A column of numbers.")] = None,
    y: Annotated[str | None, Parameter(help="Another.")] = None,
    by: Annotated[str | None, Parameter(help="A column of groups, each correlated by itself.")] = None,
    out: Annotated[
        Path | None, Parameter(help="Also write it as .html, or its pictures as .svg, .png or .pdf.")
    ] = None,
    seed: Annotated[int, Parameter(help="Of the resamples.")] = 0,
) -> None:
    """Correlations with bootstrap intervals, ranks, leverage and correction for multiple testing."""
    from assay.analysis import page, views
    from assay.analysis.columns import correlate_columns, is_table
    from assay.analysis.securitynet import analyse
    from assay.base.errors import UsageError
    from assay.catalogue.importers.securitynet import read_tables

    if is_table(table):
        if x is None or y is None:
            raise UsageError(f"{table.name} is a table of columns: say which to correlate with --x and --y.")
        page.show(views.correlations(correlate_columns(table, x, y, by, seed)), out)
    else:
        tables = read_tables(table)
        page.show(views.claims(analyse(tables, seed), tables), out)


@app.command
def relate(
    workspace: Annotated[Path, Parameter(help="A folder of outcomes, as assay audit leaves it.")],
    x: Annotated[str, Parameter(help="A metric, such as overfitting_gap; METHOD:METRIC where several report it.")],
    /,
    *metrics: Annotated[str, Parameter(help="Metrics to correlate with it, such as auc_modified_entropy.")],
    out: Annotated[Path | None, Parameter(help="Also write it as .html, or its picture as .svg, .png or .pdf.")] = None,
    seed: Annotated[int, Parameter(help="Of the resamples.")] = 0,
) -> None:
    """Correlations of metrics over the models of a workspace, with bootstrap intervals."""
    from assay.analysis import page
    from assay.analysis.relation import relate, view
    from assay.base.errors import UsageError, WorkspaceError
    from assay.studies import Workspace

    if not metrics:
        raise UsageError(f"Name the metrics to correlate with {x}.")
    if not (workspace / "workspace.json").exists():
        raise WorkspaceError(f"{workspace} is not a workspace: it holds no workspace.json.")
    page.show(view(relate(Workspace(workspace).outcomes(), x, metrics, seed)), out)
