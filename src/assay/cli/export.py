"""``assay export``: results in other programs' forms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from assay.cli.gate import Result

if TYPE_CHECKING:
    from assay.reports.report import Report

app = App(name="export", help="Results for model cards and hubs.")

Model = Annotated[str | None, Parameter(help="Which model, where the result holds several.")]
Out = Annotated[Path | None, Parameter(help="File to write [default: standard output].")]


@app.command
def card(result: Result, /, *, model: Model = None, out: Out = None) -> None:
    """A section for a model card, in Markdown."""
    from assay.reports.card import card_section

    _give(card_section(_report(result, model)), out)


@app.command(name="model-index")
def model_index(result: Result, /, *, model: Model = None, out: Out = None) -> None:
    """The model-index of a model card's metadata, in YAML, as model hubs read it."""
    from assay.reports.card import model_index

    _give(model_index(_report(result, model)), out)


@app.command
def evidence(
    result: Result,
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder to write.")],
    model: Model = None,
    dataset: Annotated[str | None, Parameter(help="Hub id of a benchmark, for .eval_results.")] = None,
) -> None:
    """CycloneDX 1.7, in-toto test result, SARIF, hub results and Annex IV in prose; aggregates alone."""
    from assay.reports.evidence.bundle import write_bundle
    from assay.reports.results import load_results

    report = _report(result, model)
    others = (one.report for one in load_results(result))
    beside = tuple(other for other in others if other.target.digest != report.target.digest)
    for file in write_bundle(report, out, dataset, beside):
        print(file)


def _report(result: Path, model: str | None) -> Report:
    from assay.reports.results import one_report

    return one_report(result, model)


def _give(text: str, out: Path | None) -> None:
    from assay.reports.report import save

    if out is None:
        print(text, end="")
    else:
        save(out, text)
