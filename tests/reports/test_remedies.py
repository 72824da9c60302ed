from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from assay.methods.metric import Level, Metric, Scale
from assay.reports.answers import answer
from assay.reports.html import render_html
from assay.reports.remedies import Remedy, command, remedies
from assay.reports.report import assemble
from assay.reports.standing import FEWEST, standings
from assay.reports.terminal import print_summary
from assay.studies.changes import CHANGES, Change, MeasuredChange
from assay.studies.outcome import Outcome
from reports.pages import Page
from reports.samples import outcome, ratio, target

NAMED = {change.name: change for change in CHANGES}
SERVED = outcome("membership", "Confidence attack", level="high")


def cost(kept: float, distance: float) -> list[Metric]:
    values = {"labels_kept": kept, "l1_distance": distance}
    return [ratio(name, name, value, value, value, "exact") for name, value in values.items()]


LEFT = MeasuredChange(change=NAMED["labels"], family="membership", of=[SERVED.key], left_out="No time.")
AUC = Scale(risk="up", chance=0.5, high=0.6, low=0.55)
ENDS: dict[Level, float] = {"low": 0.54, "elevated": 0.58, "high": 0.9, "undecided": 0.65}


def measured(
    name: str,
    level: Level,
    kept: float = 1.0,
    distance: float = 0.1,
    end: float | None = None,
    further: tuple[Level, ...] | None = None,
) -> MeasuredChange:
    """A change behind which three seeds found the same, or others than the first what ``further`` says."""
    of_each = [
        [outcome("membership", f"Other {name}", level=one, metrics=[ending_at(ENDS[one] if end is None else end)])]
        for one in (level, *((level, level) if further is None else further))
    ]
    return MeasuredChange(
        change=NAMED[name],
        family="membership",
        of=[SERVED.key],
        outcomes=of_each[0],
        repeated=of_each[1:],
        cost=cost(kept, distance),
    )


def ending_at(high: float) -> Metric:
    return ratio("auc", "AUC", high - 0.02, high - 0.04, high, "DeLong", n=100, scale=AUC)


def tried(*changes: MeasuredChange) -> tuple[str | None, list[str]]:
    (one,) = remedies([answer("membership", [SERVED])], [SERVED], changes, "mine")
    return one.cheapest.name if one.cheapest else None, [each.name for each in one.tried]


def test_the_cheapest_that_turns_the_level_is_named() -> None:
    changes = measured("rounding-1", "low", distance=0.2), measured("levels", "elevated", distance=0.1)
    assert tried(*changes, measured("rounding-2", "high", distance=0.01)) == (
        "levels",
        ["rounding-2", "levels", "rounding-1"],
    )


def test_labels_that_change_are_a_cost() -> None:
    changes = measured("rounding-1", "low", kept=0.8, distance=0.1), measured("levels", "low", distance=0.2)
    assert tried(*changes)[0] == "levels"


def test_what_is_shown_goes_before_what_is_only_no_longer_shown() -> None:
    unsettled = measured("rounding-1", "undecided", distance=0.01), measured("rounding-2", "elevated", end=0.62)
    assert tried(*unsettled, measured("levels", "elevated", distance=0.5))[0] == "levels"
    (one,) = remedies([answer("membership", [SERVED])], [SERVED], unsettled, "mine")
    assert one.cheapest is not None
    assert not one.cheapest.shown
    assert "nor shown to be gone" in one.sentence
    (better,) = remedies([answer("membership", [SERVED])], [SERVED], [measured("levels", "low")], "mine")
    assert better.cheapest is not None
    assert better.cheapest.shown


def test_one_seed_promises_nothing_and_neither_do_three_of_which_one_finds_it_again() -> None:
    def remedy(*further: Level) -> Remedy:
        change = measured("levels", "low", end=ENDS["low"], further=further)
        (one,) = remedies([answer("membership", [SERVED])], [SERVED], [change], "mine")
        return one

    promised, once, again = remedy("low", "elevated"), remedy(), remedy("low", "high")
    assert promised.cheapest is not None
    assert promised.cheapest.shown
    assert (promised.cheapest.level, promised.cheapest.levels) == ("elevated", ["low", "low", "elevated"])
    assert "measured to turn high to elevated, with 3 seeds" in promised.sentence
    assert once.cheapest is not None
    assert not once.cheapest.shown
    assert "low with one seed; another seed may show it again" in once.sentence
    assert again.cheapest is None
    assert "No change that was measured turns this" in again.sentence


def test_labels_only_that_was_not_measured_leaves_every_change_unpromised() -> None:
    (one,) = remedies([answer("membership", [SERVED])], [SERVED], [measured("levels", "low"), LEFT], "mine")
    assert one.cheapest is not None
    assert not one.cheapest.shown


def test_an_attack_on_labels_alone_counts_for_every_change() -> None:
    """Who gets more than labels can throw it away."""
    undone = measured("labels", "high", distance=0.5)
    assert tried(measured("levels", "low"), undone)[0] is None


def test_nothing_is_named_where_nothing_helps_and_what_was_tried_is_said() -> None:
    (one,) = remedies([answer("membership", [SERVED])], [SERVED], [measured("levels", "high"), LEFT], "mine")
    assert one.cheapest is None
    assert "tried: levels" in one.sentence
    assert "1 more did not fit" in one.sentence
    assert one.tried[-1].level == "not assessed"
    assert one.tried[-1].sentence == "No time."


def test_what_was_measured_against_other_outcomes_does_not_count() -> None:
    other = measured("levels", "low").model_copy(update={"of": ["another"]})
    assert remedies([answer("membership", [SERVED])], [SERVED], [other], "mine") == []


def test_a_low_answer_has_no_remedy() -> None:
    low = outcome("membership", "Confidence attack")
    assert remedies([answer("membership", [low])], [low], [measured("levels", "low")], "mine") == []


def test_commands_apply_the_change_on_top_of_what_is_served() -> None:
    """The sample's serving rounds to three decimals already."""
    assert command(NAMED["levels"], "my model.toml", [SERVED]) == (
        "assay audit 'my model.toml' --policy rounding:decimals=3 --policy levels"
    )
    plain = SERVED.model_copy(update={"serving": {}})
    assert command(NAMED["labels"], "mine", [plain]) == "assay audit mine --output label"
    assert command(NAMED["interface"], "mine", [plain]) == "assay audit mine --profile paid-api"
    facts = plain.method.model_copy(update={"name": "siblings.risk", "options": {"sibling": "int8"}})
    siblings = plain.model_copy(update={"method": facts})
    sibling: Change = NAMED["sibling-distil=tiny-cnn"]
    assert command(sibling, "mine", [siblings]) == (
        "assay audit mine --method siblings.risk --set siblings.risk.sibling=distil=tiny-cnn"
    )


def peer(number: int, value: float, risk: str = "up") -> Outcome:
    scale = Scale(risk="up", chance=0.5, high=0.6) if risk == "up" else Scale(risk="down", chance=1.0, high=0.05)
    metric = ratio("auc", "AUC", value, value, value, "exact", n=10, scale=scale)
    found = outcome("membership", "Confidence attack", metrics=[metric], facts=target(f"model {number}"))
    data = outcome("membership", "Confidence attack").target.data
    return found.model_copy(update={"key": f"{number}", "target": found.target.model_copy(update={"data": data})})


def test_a_standing_needs_ten_others_and_counts_in_the_direction_of_the_risk() -> None:
    for risk, expected in (("up", 20.0), ("down", 80.0)):
        own, others = peer(0, 0.52, risk), [peer(i, 0.5 + i / 100 - 0.005, risk) for i in range(1, FEWEST + 1)]
        assert standings([answer("membership", [own])], [own], [own, *others[:-1]]) == []
        (one,) = standings([answer("membership", [own])], [own], [own, *others])
        assert one.riskier_than == expected
        assert one.low < expected < one.high
        assert one.n == FEWEST


def test_both_are_in_the_report_and_come_back_from_its_file() -> None:
    own, others = peer(0, 0.52), [peer(i, 0.4) for i in range(1, FEWEST + 1)]
    report = assemble([own], peers=others)
    assert report.standing("membership") is not None
    assert type(report).model_validate_json(report.model_dump_json()) == report
    assert assemble([own]).standings == []


def test_page_and_terminal_say_the_change_its_cost_and_the_command(tmp_path: Path) -> None:
    report = assemble([SERVED], [measured("levels", "elevated"), measured("rounding-2", "high")], "mine")
    page = Page(render_html(report, tmp_path))
    remedy = report.remedy("membership")
    assert remedy is not None
    out = StringIO()
    print_summary(report, Console(file=out, width=300))
    for text in (page.text, out.getvalue()):
        assert remedy.sentence in text
        assert "assay audit mine --policy rounding:decimals=3 --policy levels" in text
    assert "Changes that were tried" in page.text
    assert NAMED["rounding-2"].title[1:] in page.text


def test_a_backdoor_is_told_what_helps_on_page_and_terminal(tmp_path: Path) -> None:
    """No change of the serving can be measured against it."""
    report = assemble([outcome("backdoor", "STRIP", level="high", sentence="A patch moves images to class 7.")])
    out = StringIO()
    print_summary(report, Console(file=out, width=300))
    for text in (Page(render_html(report, tmp_path)).text, out.getvalue()):
        assert "to class 7" in text
        assert "train it again from data and weights that you trust" in text
        assert "No change was measured" not in text


def test_a_bad_answer_without_a_measurement_says_so(tmp_path: Path) -> None:
    assert "No change was measured against this" in Page(render_html(assemble([SERVED]), tmp_path)).text
