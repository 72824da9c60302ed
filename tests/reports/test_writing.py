"""Where reports lie: one target never takes another's place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.base.errors import NothingAssessedError
from assay.reports.report import Report, assemble
from assay.reports.results import Result
from assay.reports.writing import own_folder, write_reports
from reports.samples import outcome, target, unfinished


def report(name: str, digest: str) -> Report:
    return assemble([outcome("evasion", "FGSM", facts=target(name).model_copy(update={"digest": digest * 64}))])


def written(folder: Path, found: Report) -> Path:
    return write_reports([Result(found)], folder).parent


def digest_at(folder: Path) -> str:
    return str(json.loads((folder / "report.json").read_text())["target"]["digest"])[0]


def test_targets_of_one_name_keep_their_reports(tmp_path: Path) -> None:
    first, second = written(tmp_path, report("m", "1")), written(tmp_path, report("m", "2"))
    assert (first.name, second.name) == ("m", f"m-{'2' * 8}")
    assert (written(tmp_path, report("m", "1")), written(tmp_path, report("m", "2"))) == (first, second)
    assert (digest_at(first), digest_at(second)) == ("1", "2")
    assert written(tmp_path, report("a/b", "3")).name == "a-b"
    assert written(tmp_path, report("a-b", "4")).name == f"a-b-{'4' * 8}"


def test_what_is_no_report_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "report.json").write_text("notes")
    assert own_folder(report("m", "1"), tmp_path).name == f"m-{'1' * 8}"


def test_several_at_once_are_linked_from_one_page(tmp_path: Path) -> None:
    results = [Result(report("m", digest)) for digest in "12"]
    page = write_reports(results, tmp_path, tmp_path / "out", "internal")
    assert page == tmp_path / "out" / "index.html"
    assert 'href="m/report.html"' in page.read_text()
    assert f'href="m-{"2" * 8}/report.html"' in page.read_text()
    assert "internal use" in page.read_text()


def test_a_folder_that_was_named_is_the_folder(tmp_path: Path) -> None:
    for digest in "12":
        assert write_reports([Result(report("m", digest))], tmp_path, tmp_path / "out").parent == tmp_path / "out"
    assert digest_at(tmp_path / "out") == "2"


def test_nothing_assessed_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingAssessedError, match="It needs a gradient"):
        write_reports([Result(assemble([unfinished("evasion", "A", "skipped", "It needs a gradient.")]))], tmp_path)
