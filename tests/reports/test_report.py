from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import NothingAssessedError, WorkspaceError
from assay.methods.finding import FAMILIES, OPTIONAL, Level, Metric, Scale, Verdict
from assay.reports.answers import Answer
from assay.reports.report import Report, assemble, write_json
from assay.reports.schema import FILE, report_schema
from assay.reports.wording import QUESTIONS
from assay.studies.outcome import Outcome
from reports.samples import outcome, outcomes, ratio, target, unfinished

LEVELS: tuple[Level, ...] = ("low", "undecided", "elevated", "high")


def answer(report: Report, family: str) -> Answer:
    return next(one for one in report.answers if one.family == family)


AUC = Scale(risk="up", chance=0.5, low=0.55, high=0.6)
PERCENT = Scale(risk="up", chance=0, high=50)
P_VALUE = Scale(risk="down", chance=0.5, high=0.05, log=True)


def judged(level: Level, value: float | None, title: str = "A", unit: str = "", scale: Scale | None = AUC) -> Outcome:
    metric = Metric(name=f"auc_{title}", label="AUC", value=value, unit=unit, note="None.", scale=scale)
    return outcome("membership", title, level=level, metrics=[metric])


def test_four_questions_always_in_one_order(tmp_path: Path) -> None:
    report = assemble(outcomes(tmp_path))
    four = [family for family in FAMILIES if family not in OPTIONAL]
    assert [one.family for one in report.answers] == four
    assert [one.question for one in report.answers] == [QUESTIONS[family] for family in four]


def test_a_fifth_question_only_where_it_was_asked() -> None:
    report = assemble([outcome("siblings", "Sibling risk", level="high")])
    assert [one.family for one in report.answers] == list(FAMILIES)
    assert "far easier to fool through its sibling" in report.summary


@given(st.lists(st.sampled_from(LEVELS), min_size=1, max_size=6))
def test_the_worst_level_decides(levels: list[Level]) -> None:
    report = assemble([judged(level, 0.5, str(place)) for place, level in enumerate(levels)])
    found = answer(report, "membership")
    assert LEVELS.index(found.level) == max(LEVELS.index(level) for level in levels)  # type: ignore[arg-type]
    assert (found.done, found.undecided) == (len(levels), levels.count("undecided"))


@pytest.mark.parametrize(
    ("riskier", "other"),
    [
        (judged("high", 0.002, "A", scale=P_VALUE), judged("high", 0.04, "B", scale=P_VALUE)),
        (judged("high", 0.75, "A"), judged("high", 95.0, "B", "%", PERCENT)),
        (judged("elevated", 0.61, "A"), judged("elevated", 0.3, "B", scale=P_VALUE)),
        (judged("elevated", 0.51, "A"), judged("elevated", 0.99, "B", scale=None)),
        (judged("undecided", 0.51, "A"), judged("undecided", None, "B")),
    ],
)
def test_of_equal_levels_the_riskier_number_on_its_own_scale_decides(riskier: Outcome, other: Outcome) -> None:
    for both in ([riskier, other], [other, riskier]):
        report = assemble(both)
        assert report.deciding(answer(report, "membership")) == riskier


def test_a_lower_level_never_decides_by_a_larger_number() -> None:
    report = assemble([judged("low", 0.99, "A"), judged("elevated", 0.6, "B")])
    assert answer(report, "membership").metric == judged("elevated", 0.6, "B").metrics[0]


def test_a_verdict_on_a_metric_that_is_missing_has_no_number() -> None:
    one = judged("low", 0.5)
    assert answer(assemble([one.model_copy(update={"metrics": []})]), "membership").metric is None


def test_unassessed_questions_say_why() -> None:
    report = assemble(
        [
            unfinished("evasion", "A", "failed", "broke"),
            unfinished("evasion", "B", "skipped", "not for this"),
            unfinished("backdoor", "C", "skipped", "not for this"),
        ]
    )
    assert answer(report, "evasion").sentence == "No method finished: 1 failed and 1 did not apply."
    assert answer(report, "backdoor").sentence == "No method finished: 1 did not apply."
    assert answer(report, "stealing").sentence == "No method of this kind was run."
    assert {one.level for one in report.answers} == {"not assessed"}
    assert report.summary.startswith("Nothing is settled about digits/cnn-overfitted; whether it can be stolen, ")
    assert [one.reason for one in report.unfinished] == ["not for this", "broke", "not for this"]


def test_the_summary_is_one_sentence_over_all_questions(tmp_path: Path) -> None:
    assert assemble(outcomes(tmp_path)).summary == (
        "Under the attacks that were run, digits/cnn-overfitted can be stolen, leaks something about who was in its "
        "training set and is easily fooled; whether it carries a backdoor was not assessed."
    )
    undecided = assemble([judged("undecided", None), outcome("evasion", "B", level="undecided")]).summary
    assert "whether it leaks who was in its training set and how easily it is fooled are undecided" in undecided


def test_the_order_of_outcomes_does_not_matter(tmp_path: Path) -> None:
    found = outcomes(tmp_path)
    assert assemble(found) == assemble(found[::-1])


def test_the_span_of_the_measurements() -> None:
    report = assemble([outcome("evasion", "A", seed=0), outcome("evasion", "A", seed=5)])
    assert (report.measured_until - report.measured_from).total_seconds() == 5 * 60 + 12.4


def test_refuses_no_outcomes_and_two_targets() -> None:
    with pytest.raises(NothingAssessedError):
        assemble([])
    with pytest.raises(ValueError, match="one target"):
        assemble([outcome("evasion", "A"), outcome("evasion", "A", facts=target("other"))])


def test_json_is_the_model_and_fits_the_published_schema(tmp_path: Path) -> None:
    report = assemble(outcomes(tmp_path))
    write_json(report, tmp_path / "out" / "report.json")
    text = (tmp_path / "out" / "report.json").read_text()
    assert Report.model_validate_json(text) == report
    published = json.loads(FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    validator = jsonschema.Draft202012Validator(published)
    validator.validate(json.loads(text))
    broken = json.loads(text)
    broken["answers"][0]["level"] = "fine"
    assert not validator.is_valid(broken)


def test_the_published_schema_is_current() -> None:
    published = json.loads(FILE.read_text())
    assert published == json.loads(json.dumps(report_schema())), "python -m assay.reports.schema writes it anew"


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    report = assemble([outcome("stealing", "A", metrics=[ratio("a", "A", 0.5, 0.4, 0.6, "bootstrap")])])
    with pytest.raises(WorkspaceError, match="cannot be written"):
        write_json(report, tmp_path / "file" / "report.json")


def test_a_weak_verdict_neither_clears_nor_blocks() -> None:
    weak = judged("undecided", 0.9, "Weak")
    assert weak.verdict is not None
    weak = weak.model_copy(update={"verdict": weak.verdict.model_copy(update={"weak": True})})
    for level in ("low", "elevated", "high"):
        assert answer(assemble([weak, judged(level, 0.5, "Strong")]), "membership").level == level
    strong = judged("undecided", 0.5, "Strong")
    report = assemble([weak, strong])
    assert report.deciding(answer(report, "membership")) == strong
    alone = answer(assemble([weak]), "membership")
    assert (alone.level, alone.sentence) == ("undecided", weak.verdict.sentence)
    with pytest.raises(ValueError, match="weak verdict must be undecided"):
        Verdict(level="low", metric="auc", sentence="Nothing found.", weak=True)


def test_a_verdict_beside_the_question_does_not_answer_it() -> None:
    claimed = outcome("stealing", "Proof of ownership", level="low")
    assert claimed.verdict is not None
    claimed = claimed.model_copy(update={"verdict": claimed.verdict.model_copy(update={"answers": False})})
    alone = answer(assemble([claimed]), "stealing")
    assert (alone.level, alone.done) == ("not assessed", 0)
    assert alone.sentence == "No method settled it: 1 answered another question."
    assert "hard to steal" not in assemble([claimed]).summary
    worse = claimed.verdict
    assert worse is not None
    unclaimed = claimed.model_copy(update={"verdict": worse.model_copy(update={"level": "elevated"})})
    beside = answer(assemble([unclaimed, outcome("stealing", "Theft", level="low")]), "stealing")
    assert (beside.level, beside.done) == ("low", 1)
