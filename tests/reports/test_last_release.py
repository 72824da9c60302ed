"""A report beside that of the model's last release: found, compared, shown, refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from assay.api import audit
from assay.base.errors import UsageError
from assay.cli import main
from assay.methods.metric import Metric, Scale
from assay.reports.html import render_html
from assay.reports.pages import bar
from assay.reports.previous import beside, earlier, require_comparable
from assay.reports.report import Report, assemble, write_json
from assay.reports.results import Result, load_results
from assay.reports.terminal import print_summary
from assay.studies.outcome import Outcome
from assay.studies.workspace import Workspace
from assay.targets.reference import load_target
from reports.pages import Page
from reports.samples import START, hexdigest, outcome, ratio, target

AUC = Scale(risk="up", chance=0.5, high=0.7, low=0.55)
P_VALUE = Scale(risk="down", chance=0.5, high=0.05, low=0.3, log=True)


def release(number: int, value: float, scale: Scale = AUC, half: float = 0.01, title: str = "MLP attack") -> Outcome:
    """What was found of a release: numbers of independent samples, a day after the one before."""
    facts = target().model_copy(update={"digest": hexdigest(f"release {number}")})
    number_ = ratio("auc", "AUC", value, value - half, value + half, "DeLong", n=1000, scale=scale)
    found = outcome("membership", title, metrics=[number_], level="elevated", facts=facts)
    return found.model_copy(update={"key": hexdigest(f"{title}{number}"), "started": START + timedelta(days=number)})


def compared(*, old: list[Outcome], new: list[Outcome]) -> Report:
    return beside(Result(assemble(new)), Result(assemble(old)))


@pytest.mark.parametrize(
    ("scale", "before", "after", "direction"),
    [
        (AUC, 0.55, 0.65, "worse"),
        (AUC, 0.65, 0.55, "better"),
        (AUC, 0.6, 0.605, "not shown"),
        (P_VALUE, 0.2, 0.1, "worse"),
        (P_VALUE, 0.1, 0.2, "better"),
    ],
)
def test_a_number_moves_in_the_direction_of_its_risk_and_only_beyond_its_bounds(
    scale: Scale, before: float, after: float, direction: str
) -> None:
    report = compared(old=[release(0, before, scale)], new=[release(1, after, scale)])
    assert report.last_release is not None
    (one,) = report.last_release.numbers
    assert one.moved is not None
    assert one.moved.direction == direction
    assert one.moved.low is not None
    assert one.moved.high is not None
    assert one.moved.low < after - before < one.moved.high
    words = {"worse": "Worse is AUC of MLP attack", "better": "Better is AUC of MLP attack"}
    assert words.get(direction, "No change is shown in 1 number") in report.last_release.sentence
    if direction != "not shown":
        assert "independent samples" in report.last_release.sentence


def test_the_more_numbers_are_compared_the_wider_is_each_interval() -> None:
    """A change that one comparison would show is not shown among twenty."""
    titles = [f"Attack{number} of many" for number in range(20)]
    alone = compared(old=[release(0, 0.6)], new=[release(1, 0.618)])
    among = compared(
        old=[release(0, 0.6, title=title) for title in titles], new=[release(1, 0.618, title=title) for title in titles]
    )
    assert alone.last_release is not None
    assert among.last_release is not None
    assert len(alone.last_release.moved("worse")) == 1
    assert len(among.last_release.moved("not shown")) == 20


def test_what_cannot_be_compared_is_said_and_no_number_of_it_is_shown() -> None:
    new = release(1, 0.65)
    other = new.model_copy(update={"method": new.method.model_copy(update={"version": 2})})
    report = compared(old=[release(0, 0.55)], new=[other])
    assert report.last_release is not None
    assert report.last_release.numbers == []
    assert "another version of the method" in report.last_release.left_out[0]
    assert "1 method cannot be compared" in report.last_release.sentence
    served = new.model_copy(update={"serving": {}})
    apart = compared(old=[release(0, 0.55)], new=[served]).last_release
    assert apart is not None
    assert apart.sentence.endswith("It was served otherwise.")


def test_the_last_earlier_model_of_the_name_is_found_and_no_other() -> None:
    first, second, third = release(0, 0.5), release(1, 0.55), release(2, 0.6)
    elsewhere = release(1, 0.9).model_copy(update={"target": target("another name")})
    facts = second.target.model_copy(update={"num_classes": 12, "digest": hexdigest("twelve")})
    task = release(1, 0.9, title="Confidence attack").model_copy(update={"target": facts})
    known = [first, second, third, elsewhere, task]

    def found(one: Outcome) -> str | None:
        last = earlier(Result(assemble([one])), known)
        return last.report.target.digest if last else None

    assert found(third) == second.target.digest
    assert found(second) == first.target.digest
    assert found(first) is None


def test_page_and_terminal_show_where_the_last_release_lay(tmp_path: Path) -> None:
    report = compared(old=[release(0, 0.55)], new=[release(1, 0.65)])
    html = render_html(report, tmp_path)
    page, out = Page(html), StringIO()
    print_summary(report, Console(file=out, width=300))
    assert report.last_release is not None
    for text in (page.text, out.getvalue()):
        assert report.last_release.sentence in text
        assert "0.550 [0.540, 0.560]" in text
    assert html.count('<path class="before"') == 1
    assert '<path class="before"' not in render_html(assemble([release(1, 0.65)]), tmp_path)
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_the_mark_of_the_last_release_lies_on_the_same_scale() -> None:
    def number(value: float) -> Metric:
        return ratio("auc", "AUC", value, value, value, "exact", scale=AUC)

    place = bar(number(0.6), number(0.7))
    assert place is not None
    assert place.before == place.marks[-1], "0.7 is where high begins"
    assert place.value < place.before
    far = bar(number(0.6), number(0.9))
    assert far is not None
    assert far.before is not None
    assert far.before < 100


def test_several_results_without_the_name_and_another_task_are_refused() -> None:
    own = Result(assemble([release(0, 0.55)]))
    other = release(1, 0.9).model_copy(update={"target": target("other")})
    facts = target("other").model_copy(update={"num_classes": 12})
    task = Result(assemble([other.model_copy(update={"target": facts})]))
    assert require_comparable(target(), [own, task]) == own
    assert require_comparable(target("renamed"), [own]) == own
    with pytest.raises(UsageError, match="Which of the 2 results is the last release of renamed"):
        require_comparable(target("renamed"), [own, task])
    with pytest.raises(UsageError, match="it has 12 classes, and this model 10"):
        require_comparable(target(), [task])


def test_two_releases_in_one_workspace_are_compared_on_shared_samples(tmp_path: Path) -> None:
    audits = []
    for name in ("starter/digits-cnn", "starter/digits-mlp"):
        named = replace(load_target(name, device="cpu"), name="mine")
        audits.append(audit(named, methods=["evasion.autoattack"], workspace=tmp_path, device="cpu"))
    first, second = (one.report for one in audits)
    assert first.last_release is None
    assert second.last_release is not None
    assert second.last_release.digest == first.target.digest
    moved = [one.moved for one in second.last_release.numbers if one.moved is not None]
    assert moved
    assert all("shared samples" in one.how for one in moved)
    page = audits[1].write()
    assert "Since the last release" in page.read_text("utf-8")
    kept = load_results(page.with_name("report.json"))
    assert kept[0].report.last_release == second.last_release


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(*arguments: str) -> tuple[int, str]:
        code = main(list(arguments))
        shown = capsys.readouterr()
        return code, " ".join((shown.out + shown.err).split())

    return run


STARTER = ("starter/digits-mlp", "--method", "membership.metrics", "--no-changes")


def test_a_named_report_is_compared_with_and_bad_ones_are_refused_before_anything_runs(
    cli: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    workspace = str(tmp_path / "workspace")
    code, text = cli("audit", *STARTER, "--workspace", workspace, "--previous", str(tmp_path / "missing.json"))
    assert code == 2
    assert "There is no result at" in text
    write_json(assemble([release(0, 0.55)]).model_copy(update={"schema_version": 1}), tmp_path / "old.json")
    code, text = cli("audit", *STARTER, "--workspace", workspace, "--previous", str(tmp_path / "old.json"))
    assert code == 2
    assert "is a report of version 1" in text
    facts = target().model_copy(update={"num_classes": 12})
    write_json(assemble([release(0, 0.55).model_copy(update={"target": facts})]), tmp_path / "task.json")
    code, text = cli("audit", *STARTER, "--workspace", workspace, "--previous", str(tmp_path / "task.json"))
    assert code == 4
    assert "cannot be the last release of starter/digits-mlp: it has 12 classes, and this model 10" in text
    assert Workspace(tmp_path / "workspace").outcomes() == []
