"""The audit report: one HTML file that holds everything it shows and asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from assay.methods.figures import Figure, Gallery, Table
from assay.reports.decision import DEFAULT, PROFILES, concern
from assay.reports.drawing import NOT_DRAWN
from assay.reports.gate.check import Check
from assay.reports.gate.evaluate import evaluate
from assay.reports.gate.markdown import word_of
from assay.reports.gate.profile import PACKAGED, read_profile
from assay.reports.pages import render
from assay.reports.report import Report, save
from assay.reports.results import Result
from assay.studies.outcome import Outcome, PartFacts

_PNG = b"\x89PNG\r\n\x1a\n"


class Drawn(NamedTuple):
    """A figure ready for the page.

    ``picture`` is the SVG of a chart, ``images`` are the data addresses of a gallery, and ``numeric`` says which
    columns of a table hold numbers.
    """

    figure: Figure
    picture: Markup | None = None
    images: Sequence[Sequence[str | None]] = ()
    numeric: Sequence[bool] = ()


def write_html(report: Report, artefacts: Path, path: Path, profile: str = DEFAULT) -> None:
    """Write ``report.html``. ``artefacts`` holds a folder of files for each outcome, named by its key.

    An image that is missing, or is not the file that was measured, is left out and the page says so. ``profile`` is
    the way of publishing that the page decides for.

    Raises:
        UsageError: if there is no such profile.
        WorkspaceError: if the file cannot be written.
    """
    save(path, render_html(report, artefacts, profile))


def render_html(report: Report, artefacts: Path, profile: str = DEFAULT) -> str:
    """The page as text; see `write_html`."""
    decision = report.decision(profile)
    return render(
        "report.html",
        report=report,
        decision=decision,
        profile=PROFILES[profile],
        profiles=PROFILES,
        others=[other for other in report.decisions if other.profile != profile],
        answers=concern(report.answers, decision),
        figures={outcome.key: draw(outcome, artefacts / outcome.key) for outcome in report.outcomes},
        parts=data_parts(report.outcomes),
        versions=versions(report.outcomes),
        servings=servings(report.outcomes),
        standards=standards(report),
    )


def notebook_html(report: Report) -> str:
    """The answers as a small piece of HTML, for ``_repr_html_``; it takes its colours from the notebook."""
    return render("notebook.html", report=report)


def draw(outcome: Outcome, folder: Path) -> list[Drawn]:
    """An outcome's figures; ``folder`` holds its artefacts."""
    return [_draw(figure, folder, outcome.artefacts) for figure in outcome.figures]


def _draw(figure: Figure, folder: Path, digests: dict[str, str]) -> Drawn:
    if isinstance(figure, Gallery):
        return Drawn(figure, images=[[_image(folder, name, digests) for name in row] for row in figure.files])
    if isinstance(figure, Table):
        return Drawn(figure, numeric=[not any(isinstance(cell, str) for cell in cells) for cells in _columns(figure)])
    from assay.reports.charts import chart, svg

    drawing = chart(figure)
    if drawing is None:
        return Drawn(figure)
    picture = svg(drawing, f"{figure.title}. {figure.caption}")
    return Drawn(figure, Markup(f"<p>{NOT_DRAWN}</p>") if picture is None else Markup(picture))


def _columns(table: Table) -> list[list[str | float | None]]:
    return [[row[place] for row in table.rows if place < len(row)] for place in range(len(table.columns))]


def _image(folder: Path, name: str, digests: dict[str, str]) -> str | None:
    """An artefact as a data address; None unless it is a PNG file with the digest that the outcome remembers."""
    if name not in digests:
        return None
    try:
        content = (folder / name).read_bytes()
    except OSError:
        return None
    if not content.startswith(_PNG) or hashlib.sha256(content).hexdigest() != digests[name]:
        return None
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def data_parts(outcomes: Sequence[Outcome]) -> list[tuple[str, PartFacts]]:
    """Every part of the data that an outcome used: the part's name and what it was."""
    found = {(name, part): None for outcome in outcomes for name, part in outcome.target.data.items()}
    return list(found)


def versions(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    """Software to the versions that the outcomes were measured with, one each as a rule."""
    found: dict[str, list[str]] = {}
    for outcome in outcomes:
        for name, version in outcome.versions.items():
            if version not in found.setdefault(name, []):
                found[name].append(version)
    return found


def standards(report: Report) -> list[tuple[str, list[tuple[str, Check]]]]:
    """What the packaged profiles' requirements came to: each title with its checks, in the standard's words."""
    found = []
    for name in PACKAGED:
        profile = read_profile(name)
        checks = evaluate(profile, [Result(report)]).checks
        found.append((profile.title, [(word_of(check), check) for check in checks]))
    return found


def servings(outcomes: Sequence[Outcome]) -> list[tuple[dict[str, Any], list[str]]]:
    """Ways in which the target was served to black-box methods, each with the titles of those methods."""
    found: list[tuple[dict[str, Any], list[str]]] = []
    for outcome in outcomes:
        if outcome.status != "done" or not outcome.serving:
            continue
        titles = next((titles for serving, titles in found if serving == outcome.serving), None)
        if titles is None:
            found.append((outcome.serving, titles := []))
        if outcome.method.title not in titles:
            titles.append(outcome.method.title)
    return found
