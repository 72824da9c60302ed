"""A page for each claim with its picture, and an index: plain HTML with inlined SVG, without scripts or network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from assay.analysis.claims.claim import Checked, Claim
from assay.base.errors import UsageError
from assay.reports.drawing import NOT_DRAWN, draw
from assay.reports.pages import render
from assay.reports.views.claims import MEANING, checks, counts

if TYPE_CHECKING:
    from assay.reports.views.pictures import Chart

STYLE = """:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;
padding:0 1rem;color:#1f2328;background:#fff}table{border-collapse:collapse;margin:1rem 0;font-size:13px}
th,td{border-bottom:1px solid #c9c5bb;padding:.3rem .8rem .3rem 0;text-align:left;vertical-align:top}
dt{font-weight:600}dd{margin:0 0 .5rem 0}figure{margin:1rem 0}figcaption{font-size:13px}a{color:#0b62a3}
figure svg{max-width:100%;height:auto;background:#fff}.verdict{font-weight:600;white-space:nowrap}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#16181b}a{color:#7db8ea}}"""
SIGNS = {
    "reproduced": "✓",
    "contradicted": "✗",
    "scope-limited": "◐",
    "proxy agrees": "(✓)",
    "proxy disagrees": "(✗)",
    "open": "○",
    "not run": "-",
    "not testable": "-",
}
"""Before each verdict, so that it is told apart without colour."""


def write_pages(claims: Sequence[Claim], folder: Path) -> None:
    """``index.html`` and a page ID.html for each claim.

    Raises:
        UsageError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text(index(claims), encoding="utf-8")
        for claim in claims:
            (folder / f"{claim.id}.html").write_text(page(claim), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The pages cannot be written to {folder}: {error.strerror or error}.") from error


def index(claims: Sequence[Claim]) -> str:
    """All claims by paper, with links to their pages."""
    papers: dict[str, list[Claim]] = {}
    for claim in claims:
        papers.setdefault(claim.paper, []).append(claim)
    return _rendered(
        "claims_index.html", title="Published claims", counts=counts(claims), meaning=MEANING, papers=papers
    )


def page(claim: Claim) -> str:
    """One claim: what is said, how it is decided, what was found, and a picture of each check."""
    facts = (
        ("Paper", claim.paper),
        ("Published", claim.published),
        ("Source", claim.source),
        ("Tested by", claim.test),
        ("Rule", claim.rule),
        ("Rule as of", claim.written),
        ("Why", claim.why),
    )
    drawn = [(picture(check), check) for check in claim.checks]
    figures = [
        (_svg(chart), f"{check.what}: {check.found.measured} ({check.found.verdict})")
        for chart, check in drawn
        if chart is not None
    ]
    return _rendered(
        "claim.html",
        title=f"{claim.id}: {claim.statement}",
        claim=claim,
        facts=facts,
        table=checks(claim) if claim.checks else None,
        figures=figures,
    )


def picture(check: Checked) -> Chart | None:
    """What a check looked at: points of a correlation, or numbers with their intervals."""
    from assay.reports.views.pictures import intervals, scatter

    points = check.found.points
    if not points:
        return None
    x, y = check.found.axes
    if points[0].x is not None:
        rows = [{"name": point.name, "group": point.group, x: point.x, y: point.value} for point in points]
        return scatter(rows, x, y, "group", check.what)
    drawn = [
        {
            "name": point.name,
            "value": point.value,
            "low": point.value if point.low is None else point.low,
            "high": point.value if point.high is None else point.high,
            **({"group": point.group} if point.group else {}),
        }
        for point in points
    ]
    return intervals(drawn, y or "value", check.what, zero=bool(y))


def _rendered(template: str, **values: Any) -> str:
    return render(template, style=Markup(STYLE), signs=SIGNS, **values)


def _svg(chart: Chart) -> Markup:
    drawn = draw(chart.to_dict(), "svg")
    return Markup(f"<p>{NOT_DRAWN}</p>") if drawn is None else Markup(drawn.decode())
