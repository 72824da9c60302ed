"""``assay analysis``: numbers over many models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from assay.analysis.scored import Contest
    from assay.studies import Workspace

app = App(name="analysis", help="Correlate, compare, rank and place what was measured of many models.")

Folder = Annotated[Path, Parameter(help="A folder of outcomes, as assay audit leaves it.")]
Out = Annotated[Path | None, Parameter(help="Also write it as .html or .json, or its picture as .svg, .png or .pdf.")]
Seed = Annotated[int, Parameter(help="Of the resamples.")]
Method = Annotated[str | None, Parameter(help="Outcomes of this method alone, such as stealing.basic.")]


@Parameter(name="*")
@dataclass(frozen=True)
class Chosen:
    """Which samples of a workspace are compared, and how they are shown."""

    method: Method = None
    score: Annotated[
        str | None,
        Parameter(
            help="A column of the kept samples, or COLUMN=COLUMN where two must agree. "
            "By default target=surrogate for stealing, fooled for evasion."
        ),
    ] = None
    only: Annotated[str, Parameter(help="Only models or methods whose names contain this.")] = ""
    out: Out = None
    seed: Seed = 0


EVERYTHING = Chosen()


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
    out: Out = None,
    seed: Seed = 0,
) -> None:
    """Correlations with intervals, ranks, leverage and correction for multiple testing."""
    from assay.analysis.columns import correlate_columns, is_table
    from assay.analysis.securitynet import analyse
    from assay.base.errors import UsageError
    from assay.catalogue.importers.securitynet import read_tables
    from assay.reports.views import catalogue as views
    from assay.reports.views import page

    if is_table(table):
        if x is None or y is None:
            raise UsageError(f"{table.name} is a table of columns: say which to correlate with --x and --y.")
        page.show(views.correlations(correlate_columns(table, x, y, by)), out)
    else:
        tables = read_tables(table)
        page.show(views.claims(analyse(tables, seed), tables), out)


@app.command
def relate(
    workspace: Folder,
    x: Annotated[str, Parameter(help="A metric, such as overfitting_gap; METHOD:METRIC where several report it.")],
    /,
    *metrics: Annotated[str, Parameter(help="Metrics to correlate with it, such as auc_modified_entropy.")],
    out: Out = None,
) -> None:
    """Correlations of metrics over the models of a workspace, with intervals."""
    from assay.analysis.relation import relate
    from assay.base.errors import UsageError
    from assay.reports.views import page
    from assay.reports.views.relation import view

    if not metrics:
        raise UsageError(f"Name the metrics to correlate with {x}.")
    page.show(view(relate(_opened(workspace).outcomes(), x, metrics)), out)


@app.command
def compare(workspace: Folder, /, *, chosen: Chosen = EVERYTHING) -> None:
    """Every two models or methods on the same samples: differences, intervals, McNemar's test, Holm's correction."""
    from assay.analysis.comparison import compare
    from assay.reports.views import page
    from assay.reports.views.comparisons import view

    contest = _contest(workspace, chosen)
    page.show(view(contest, compare(contest, chosen.seed)), chosen.out)


@app.command
def ranks(workspace: Folder, /, *, chosen: Chosen = EVERYTHING) -> None:
    """The order of models or methods, whether other samples would change it, and how alike seeds are."""
    from assay.analysis.ranks import rank
    from assay.reports.views import page
    from assay.reports.views.ranks import view

    contest = _contest(workspace, chosen)
    page.show(view(contest, rank(contest, chosen.seed)), chosen.out)


@app.command
def summary(
    workspace: Folder,
    metric: Annotated[str, Parameter(help="A metric, such as agreement.")],
    /,
    *,
    method: Method = None,
    out: Out = None,
) -> None:
    """A metric's mean over targets and seeds by method: a linear model with a random intercept for each target."""
    from assay.analysis.summary import summarise
    from assay.reports.views import page
    from assay.reports.views.summary import view

    page.show(view(summarise(_opened(workspace).outcomes(), metric, method)), out)


@app.command
def percentile(
    workspace: Folder,
    target: Annotated[str, Parameter(help="The target's name.")],
    metric: Annotated[str | None, Parameter(help="A metric; by default the one that decided each verdict.")] = None,
    /,
    *,
    out: Out = None,
) -> None:
    """Where one target stands among the others of a workspace that were measured in the same way."""
    from assay.analysis.percentile import percentiles
    from assay.reports.views import page
    from assay.reports.views.percentile import view

    page.show(view(target, percentiles(_opened(workspace).outcomes(), target, metric)), out)


def _contest(workspace: Path, chosen: Chosen) -> Contest:
    from assay.analysis.scored import read_contest

    return read_contest(_opened(workspace), chosen.method, chosen.score, chosen.only)


def _opened(workspace: Path) -> Workspace:
    from assay.base.errors import WorkspaceError
    from assay.studies import Workspace

    if not (workspace / "workspace.json").exists():
        raise WorkspaceError(f"{workspace} is not a workspace: it holds no workspace.json.")
    return Workspace(workspace)
