"""``assay catalogue``: search, extend and annotate the catalogue of public models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(name="catalogue", help="Search, extend and annotate the catalogue of public models.")
app.command("assay.cli.check:check", help="Load public models and measure their accuracy again.")

Folder = Annotated[
    Path | None, Parameter(help="Folder of your own records [default: $ASSAY_HOME/catalogue or ~/.assay/catalogue].")
]
Out = Annotated[Path | None, Parameter(help="Also write it as .html, or its pictures as .svg, .png or .pdf.")]
Wheels = Annotated[Path | None, Parameter(help="Folder of wheels, for packages that are not installed.")]
Project = Annotated[Path, Parameter(help="Folder of the annotations.")]
Query = Annotated[str, Parameter(help='Such as: dataset = "cifar10" and params < 1e6 order by top1 desc limit 10.')]
Name = Annotated[str, Parameter(help="A model's id.")]
ANNOTATIONS = Path("annotations")


@app.command
def search(query: Query = "", /, *, out: Out = None, folder: Folder = None) -> None:
    """Find models. Fields: assay catalogue codebook; comparisons: = != < <= > >= ~ in (...), is known, is not known."""
    from assay.catalogue.catalogue import load_catalogue
    from assay.catalogue.table import Search
    from assay.reports.views import catalogue as views
    from assay.reports.views import page

    catalogue = load_catalogue(folder)
    page.show(views.found(Search(catalogue).find(query), len(catalogue.records)), out)


@app.command
def show(name: Name, /, *, out: Out = None, folder: Folder = None) -> None:
    """Everything known of one model: each field with its source, contradictions, measurements and standing."""
    from assay.analysis.position import standings
    from assay.catalogue.catalogue import load_catalogue
    from assay.reports.views import catalogue as views
    from assay.reports.views import page

    catalogue = load_catalogue(folder)
    record = catalogue.get(name)
    page.show(views.one(record, catalogue.measured(record), standings(catalogue, record)), out)


@app.command
def stats(query: Query = "", /, *, out: Out = None, folder: Folder = None) -> None:
    """Counts by year, family, country and data set, and of how many models each field is known."""
    from assay.catalogue.catalogue import load_catalogue
    from assay.catalogue.generate import newer_packages
    from assay.catalogue.stats import statistics
    from assay.catalogue.table import Search
    from assay.reports.views import catalogue as views
    from assay.reports.views import page

    found = statistics(Search(load_catalogue(folder)).find(query))
    page.show(views.statistics(found, newer_packages()), out)


@app.command
def codebook(*, out: Out = None) -> None:
    """List every field: meaning, unit and values."""
    from assay.reports.views import catalogue as views
    from assay.reports.views import page

    page.show(views.codebook(), out)


@app.command
def export(
    path: Annotated[Path, Parameter(help="File to write: .parquet, .csv or .json.")],
    query: Query = "",
    /,
    *,
    folder: Folder = None,
) -> None:
    """Write records to a file."""
    from assay.catalogue.catalogue import load_catalogue
    from assay.catalogue.table import Search
    from assay.catalogue.table import export as write
    from assay.reports.views import page

    catalogue = load_catalogue(folder)
    records = Search(catalogue).find(query)
    write(catalogue, records, path)
    page.show(page.View("Export", [f"{len(records)} models written to {path}."]))


@app.command(name="import")
def import_file(
    path: Annotated[Path, Parameter(help="The file; for RobustBench also the folder model_info.")],
    /,
    *,
    kind: Annotated[
        str | None,
        Parameter(
            help="securitynet, robustbench, timm-results, onnx-hub or model-card [default: guessed from the file]."
        ),
    ] = None,
    folder: Folder = None,
) -> None:
    """Import records and measurements from a published table, manifest or model card."""
    from assay.catalogue.catalogue import home, load_catalogue
    from assay.catalogue.importers import read_file
    from assay.catalogue.keep import keep
    from assay.reports.views import page

    imported = read_file(path, kind)
    keep(folder or home(), imported)
    page.show(page.View("Import", imported.summary(load_catalogue(folder).records)))


@app.command
def join(
    workspace: Annotated[Path, Parameter(help="A folder of outcomes.")],
    /,
    *,
    by: Annotated[str, Parameter(help="Who measured: the source of the measurements.")] = "own",
    folder: Folder = None,
) -> None:
    """Import a workspace's outcomes as measurements of catalogued models."""
    from assay.analysis.measured import measurements, read_outcomes
    from assay.catalogue.catalogue import home, load_catalogue
    from assay.catalogue.keep import keep_measurements
    from assay.reports.views import page

    joined = measurements(read_outcomes(workspace), load_catalogue(folder), by)
    keep_measurements(folder or home(), f"workspace-{by}", joined.measurements)
    page.show(page.View("Join", joined.summary()))


@app.command
def add(
    card: Annotated[Path, Parameter(help="A TOML file with an id and fields of the codebook.")],
    /,
    *,
    folder: Folder = None,
) -> None:
    """Add a model of your own."""
    from assay.catalogue.card import add_card
    from assay.catalogue.catalogue import home, load_catalogue
    from assay.reports.views import catalogue as views
    from assay.reports.views import page

    entry = add_card(card, folder or home())
    page.show(views.one(load_catalogue(folder).get(entry.id), (), ()))


@app.command
def annotate(
    name: Name,
    /,
    *,
    coder: Annotated[str, Parameter(help="Name of the coder.")],
    values: Annotated[tuple[str, ...], Parameter(name="--set", help="code=value; may be repeated.", negative="")],
    new_coder: Annotated[bool, Parameter(help="Let this coder annotate from now on.", negative="")] = False,
    project: Project = ANNOTATIONS,
    folder: Folder = None,
) -> None:
    """Annotate a model as one of several coders, and show the codes on which coders disagree."""
    from assay.catalogue.annotation import Project as Annotations
    from assay.catalogue.annotation import parse_assignments
    from assay.catalogue.catalogue import load_catalogue
    from assay.reports.views import catalogue as views
    from assay.reports.views import page

    annotations = Annotations(project)
    record, assignments = load_catalogue(folder).get(name), parse_assignments(values)
    if new_coder:
        annotations.add_coder(coder)
    votes = annotations.annotate(coder, record.id, assignments)
    page.show(page.View("Annotation", [f"{coder}: {len(values)} codes of {record.id}."], views.disagreements(votes)))


@app.command
def agreement(*, project: Project = ANNOTATIONS, out: Out = None) -> None:
    """Agreement beyond chance: Cohen's kappa for two coders, Fleiss' for more, per code and overall, with intervals."""
    from assay.catalogue.agreement import agreement as agree
    from assay.catalogue.annotation import Project as Annotations
    from assay.reports.views import catalogue as views
    from assay.reports.views import page

    annotations = Annotations(project)
    page.show(views.agreements(agree(annotations.answers()), annotations.disagreements()), out)


@app.command
def settle(*, project: Project = ANNOTATIONS, folder: Folder = None) -> None:
    """Merge annotations by majority into your own records. Dissent is kept; ties stay undecided."""
    from assay.catalogue.annotation import Project as Annotations
    from assay.catalogue.catalogue import home
    from assay.catalogue.keep import keep_listing
    from assay.reports.views import catalogue as views
    from assay.reports.views import page

    merged = Annotations(project).merge()
    for listing in (merged.majority, *merged.dissent):
        keep_listing(folder or home(), listing)
    notes = [f"{len(merged.majority.entries)} models annotated by majority."]
    page.show(page.View("Annotations", notes, views.disagreements(merged.disagreements)))


@app.command
def generate(
    *sources: Annotated[str, Parameter(help="Sources to generate [default: all].")],
    wheels: Wheels = None,
    to: Annotated[Path | None, Parameter(help="Folder to write to [default: the package's own].")] = None,
) -> None:
    """Regenerate the packaged listings from installed packages and wheels."""
    from assay.base.progress import on_console
    from assay.catalogue.generate import FOLDER
    from assay.catalogue.generate import generate as write

    write(sources, wheels, to or FOLDER, on_console())


@app.command
def compute(
    *,
    wheels: Wheels = None,
    to: Annotated[Path | None, Parameter(help="Table to complete [default: the package's own].")] = None,
) -> None:
    """Compute parameters, MACs and layer types of every network that an installed package builds."""
    from assay.base.progress import on_console
    from assay.catalogue.generate import COMPUTED, buildable_entries
    from assay.reports.views import page
    from assay.targets.complexity_table import annotate as fill

    failures = fill(buildable_entries(wheels), to or COMPUTED, on_console())
    page.show(page.View("Computed", [f"{builder}: {why}" for builder, why in failures.items()]))
