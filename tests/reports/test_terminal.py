from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from assay.reports.report import Report, assemble
from assay.reports.terminal import print_summary
from reports.samples import HOSTILE, outcome, outcomes, target, unfinished


def printed(report: Report, path: Path | None = None, width: int = 120) -> str:
    file = StringIO()
    print_summary(report, Console(file=file, width=width), path)
    return file.getvalue()


def test_the_answers_the_failures_and_the_path(tmp_path: Path) -> None:
    text = printed(assemble(outcomes(tmp_path)), Path("/somewhere/report.html"))
    for part in (
        "accuracy 0.972",
        "◆ high",
        "0.900 [0.878, 0.920]",
        "Agreement",
        "▲ elevated",
        "0.618 [0.592, 0.645]",
        "1,797",
        "Confidence attack (worst of 2)",
        "- not assessed",
        "87.3 % [85.1, 89.3]",
        "white-box",
        "failed  Transfer through a surrogate: The surrogate did not train: loss is NaN.",
        "skipped  STRIP: It needs posteriors, and the target answers with label only.",
    ):
        assert part in text
    assert text.splitlines()[-1] == "Report: /somewhere/report.html"


def test_numbers_and_paths_are_never_cut(tmp_path: Path) -> None:
    path = Path("/a/very/long/path" * 8)
    text = printed(assemble(outcomes(tmp_path)), path, width=80)
    assert str(path) in text
    for number in ("0.900 [0.878, 0.920]", "0.618 [0.592, 0.645]", "87.3 % [85.1, 89.3]"):
        assert number in text


def test_markup_in_names_stays_text() -> None:
    facts = target(HOSTILE)
    report = assemble([outcome("evasion", HOSTILE, facts=facts), unfinished("stealing", "A", "failed", HOSTILE, facts)])
    assert printed(report, width=300).count("[red]") == 4


def test_a_question_without_a_number_says_so() -> None:
    one = outcome("evasion", "A", level="undecided").model_copy(update={"metrics": []})
    assert "no number" in printed(assemble([one]))


def test_the_decision_comes_first_and_what_was_found_is_told_whole() -> None:
    told = "A patch moves 98 % of the images to class 7, zebra."
    text = printed(assemble([outcome("backdoor", "Scan", level="high", sentence=told)]), width=200)
    assert text.splitlines()[2].startswith("Fix first (open weights): It shows strong signs of a backdoor")
    assert f"◆ {told}" in text, "the label of a backdoor"
    quiet = printed(assemble([outcome("backdoor", "Scan", level="low", sentence=told)]), width=200)
    assert told not in quiet
