from __future__ import annotations

from pathlib import Path

from assay.reports.html import notebook_html
from assay.reports.report import assemble
from reports.pages import Page
from reports.samples import HOSTILE, outcome, outcomes, target


def test_the_answers_fit_in_a_cell(tmp_path: Path) -> None:
    report = assemble(outcomes(tmp_path))
    page = Page(notebook_html(report))
    assert page.open == []
    assert page.fetched() == []
    for part in (report.summary, "◆ high", "0.900 [0.878, 0.920]", "white-box", "failed: Transfer through a surrogate"):
        assert part in page.text


def test_hostile_names_stay_text() -> None:
    page = Page(notebook_html(assemble([outcome("evasion", HOSTILE, facts=target(HOSTILE))])))
    assert not page.find("script")
    assert HOSTILE in page.text
