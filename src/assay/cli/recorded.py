"""``assay recorded``: what services answered in the past."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(name="recorded", help="Compare services by what they answered in the past.")

Out = Annotated[
    Path | None, Parameter(help="Also write it as .html or .json, or its pictures as .svg, .png or .pdf.")
]  # fmt: skip
Recorded = Annotated[Path, Parameter(help="FrugalML's folder dataset, a set of it, tables NAME.tsv.gz, or HAPI's.")]


@app.command(name="list")
def listed(path: Recorded, /) -> None:
    """The recorded sets and services."""
    from assay.access.recorded import load_sets
    from assay.reports.views import page, services

    page.show(services.listed(load_sets(path)))


@app.command
def compare(
    path: Recorded,
    /,
    *names: Annotated[str, Parameter(help="Sets; all of them, if none is named.")],
    out: Out = None,
    seed: Annotated[int, Parameter(help="Of the resamples.")] = 0,
) -> None:
    """Accuracy, agreement, price and calibration of services that answered about the same examples."""
    from assay.access.recorded import load_sets
    from assay.analysis.services import compare as compare_services
    from assay.reports.views import page, services

    page.show(services.compared([compare_services(one, seed) for one in load_sets(path, names)]), out)


@app.command
def change(
    first: Annotated[Path, Parameter(help="A dated recording in HAPI's format, .../SERVICE/DATE.json.")],
    /,
    *others: Annotated[Path, Parameter(help="The same service at other dates.")],
    labels: Annotated[
        Path | None, Parameter(help="The true labels; by default labels.json beside the services.")
    ] = None,
    out: Out = None,
) -> None:
    """What changed between dated recordings of one service, and when."""
    from assay.access.recorded.hapi import LABELS, read_dated, read_labels
    from assay.analysis.change import changes
    from assay.reports.views import page, services

    truth = read_labels(labels or first.parent.parent / LABELS)
    recordings = [read_dated(path, truth) for path in (first, *others)]
    page.show(services.changed(recordings[0].service, changes(recordings, truth)), out)
