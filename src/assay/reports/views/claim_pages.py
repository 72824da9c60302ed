"""A page for each claim with its picture, and an index: plain HTML with inlined SVG, without scripts or network."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assay.analysis.claims.claim import Checked, Claim
from assay.base.errors import UsageError
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
    parts = ["".join(f"<p>{html.escape(line)}</p>" for line in counts(claims))]
    rows = "".join(f"<tr><td>{_verdict(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in MEANING.items())
    parts.append(f"<table><tbody>{rows}</tbody></table>")
    for paper in dict.fromkeys(claim.paper for claim in claims):
        rows = "".join(_row(claim) for claim in claims if claim.paper == paper)
        head = "".join(f"<th>{name}</th>" for name in ("", "claim", "published", "authors' tables", "our run"))
        parts.append(
            f"<h2>{html.escape(paper[0].upper() + paper[1:])}</h2>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )
    return _document("Published claims", "".join(parts))


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
    told = "".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in facts if text)
    verdicts = f"By the authors' tables: {_verdict(claim.recomputed)}. By our own run: {_verdict(claim.own)}."
    body = f'<p><a href="index.html">All claims</a></p><p>{verdicts}</p><dl>{told}</dl>'
    if claim.checks:
        table = checks(claim)
        head = "".join(f"<th>{html.escape(name)}</th>" for name in table.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in table.rows
        )
        body += f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    for check in claim.checks:
        chart = picture(check)
        if chart is not None:
            caption = f"{check.what}: {check.found.measured} ({check.found.verdict})"
            body += f"<figure>{_svg(chart)}<figcaption>{html.escape(caption)}</figcaption></figure>"
    return _document(f"{claim.id}: {claim.statement}", body)


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


def _row(claim: Claim) -> str:
    cells = (
        f'<a href="{claim.id}.html">{claim.id}</a>',
        html.escape(claim.statement),
        html.escape(claim.published),
        _verdict(claim.recomputed),
        _verdict(claim.own),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _verdict(name: str) -> str:
    return f'<span class="verdict">{SIGNS[name]} {name}</span>'


def _svg(chart: Chart) -> str:
    buffer = io.StringIO()
    chart.save(buffer, format="svg")
    return buffer.getvalue()


def _document(title: str, body: str) -> str:
    name = html.escape(title)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{name}</title><style>{STYLE}</style></head><body><h1>{name}</h1>{body}</body></html>\n"
    )
