from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from assay.base.errors import NothingAssessedError
from assay.reports.overview import write_overview
from assay.reports.report import assemble
from reports.pages import Page
from reports.samples import HOSTILE, outcome, outcomes, target


def test_models_against_questions_with_links(tmp_path: Path) -> None:
    first, second = tmp_path / "a b" / "report.html", tmp_path / "c#d" / "report.html"
    robust = assemble([outcome("evasion", "FGSM", facts=target(HOSTILE), level="low")])
    write_overview({first: assemble(outcomes(tmp_path)), second: robust}, tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text())
    assert page.fetched() == []
    assert page.open == []
    assert not page.find("script")
    links = [tag["href"] for tag in page.find("a")][1:]
    assert [tmp_path / unquote(link) for link in links] == [first, second]
    assert "2 models, four questions" in page.text
    assert HOSTILE in page.text
    assert "0.900 [0.878, 0.920]" in page.text
    assert "1 low, 1 high" in page.text
    assert "1 elevated, 1 not assessed" in page.text


def test_no_reports_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingAssessedError):
        write_overview({}, tmp_path / "index.html")
