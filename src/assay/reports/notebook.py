"""The report in a notebook."""

from __future__ import annotations

from assay.reports.pages import render
from assay.reports.report import Report


def notebook_html(report: Report) -> str:
    """The four answers as a small piece of HTML, for ``_repr_html_``; it takes its colours from the notebook."""
    return render("notebook.html", report=report)
