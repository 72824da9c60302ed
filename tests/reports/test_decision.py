"""What a profile makes of the answers, and in which order they are shown."""

from __future__ import annotations

from typing import Any

import pytest

from assay.base.errors import UsageError
from assay.methods.finding import FAMILIES, Family, Level, Metric, Scale
from assay.reports.answers import RANK
from assay.reports.decision import PROFILES, concern, decide, profile_named
from assay.reports.html import render_html
from assay.reports.report import Report, assemble
from assay.studies.outcome import Outcome
from reports.pages import Page
from reports.samples import outcome, unfinished

RISK = Scale(risk="up", chance=0, low=0.1, high=0.5)
ALL: tuple[Family, ...] = ("stealing", "membership", "backdoor", "evasion")


def found(family: Family, level: Level, value: float = 0.3, **other: Any) -> Outcome:
    metric = Metric(name="n", label="Number", value=value, note="Made up.", scale=RISK)
    return outcome(family, f"{family} attack", level=level, metrics=[metric], **other)


def report(**levels: Level) -> Report:
    return assemble([found(family, levels.get(family, "low")) for family in ALL])


def choices(of: Report) -> dict[str, str]:
    return {one.profile: one.choice for one in of.decisions}


def test_nothing_found_is_published_everywhere() -> None:
    assert set(choices(report()).values()) == {"publish"}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("level", ["elevated", "high"])
def test_worse_than_is_tolerated_is_fixed_first(profile: str, family: Family, level: Level) -> None:
    one = report(**{family: level}).decision(profile)
    tolerated = PROFILES[profile].tolerates.get(family, "high")
    assert one.choice == ("fix first" if RANK[level] > RANK[tolerated] else "publish")
    if one.choice == "fix first":
        assert (one.family, one.reason.endswith(": Number, 0.300.")) == (family, True)
    elif level == "high" and family in PROFILES[profile].tolerates:
        assert "Tell those who use it" in one.reason


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("family", ALL)
def test_what_is_open_is_not_evidence(profile: str, family: Family) -> None:
    tolerated = PROFILES[profile].tolerates.get(family)
    undecided = report(**{family: "undecided"}).decision(profile)
    assert undecided.choice == ("publish" if tolerated in (None, "high") else "not enough evidence")
    others = [found(each, "low") for each in ALL if each != family]
    missing = assemble(others).decision(profile)
    assert missing.choice == ("publish" if tolerated is None else "not enough evidence")
    broken = assemble([*others, found(family, "low"), unfinished(family, "B", "failed", "broke")]).decision(profile)
    assert broken.choice == ("publish" if tolerated in (None, "high") else "not enough evidence")


def test_what_is_wrong_comes_before_what_is_open_and_the_worst_is_the_reason() -> None:
    one = report(membership="undecided", backdoor="elevated", evasion="high").decision("on-device")
    assert (one.choice, one.family) == ("fix first", "evasion")
    both = assemble([found("backdoor", "high", 0.6), found("evasion", "high", 0.9), found("membership", "low")])
    assert both.decision("on-device").family == "evasion", "the riskier of equal levels"


def test_an_attack_with_the_network_does_not_count_where_nobody_has_it() -> None:
    outcomes = [found(family, "low") for family in ALL if family != "evasion"]
    white = found("evasion", "high", white_box=True)
    only = assemble([*outcomes, white])
    assert only.decision("on-device").choice == "fix first"
    assert only.decision("paid-api").choice == "not enough evidence"
    assert "without the network in hand" in only.decision("paid-api").reason
    black = outcome("evasion", "Square", level="low")
    assert assemble([*outcomes, white, black]).decision("paid-api").choice == "publish"
    scan = assemble([*[one for one in outcomes if one.method.family != "backdoor"],
                     found("backdoor", "high", white_box=True), black])  # fmt: skip
    assert scan.decision("paid-api").family == "backdoor", "the owner looks for backdoors with the network in hand"


def test_siblings_count_only_where_they_were_asked_about() -> None:
    asked = assemble([*[found(family, "low") for family in ALL], found("siblings", "high")])
    assert asked.decision("paid-api").family == "siblings"


def test_cards_stand_in_order_of_concern() -> None:
    one = report(membership="elevated", evasion="undecided", stealing="high", backdoor="elevated")
    ordered = [answer.family for answer in concern(one.answers, one.decision("open-weights"))]
    assert ordered == ["backdoor", "membership", "evasion", "stealing"], "a copy does not count for open weights"
    assert concern(one.answers, one.decision("paid-api"))[0].family == "stealing"
    assert sorted(ordered) == sorted(answer.family for answer in one.answers)
    assert set(ordered) <= set(FAMILIES)


def test_reports_of_earlier_versions_are_decided_when_they_are_read() -> None:
    old = report(backdoor="high").model_copy(update={"decisions": []})
    assert old.decision("internal") == decide(old.outcomes, PROFILES["internal"])


def test_a_profile_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'paid-api'"):
        profile_named("paid-apo")
    with pytest.raises(UsageError):
        report().decision("api")


def test_the_first_screen_is_the_decision_and_the_answers(tmp_path: Any) -> None:
    made = assemble(
        [found("backdoor", "high"), found("evasion", "low"), unfinished("stealing", "A", "failed", "broke")]
    )
    text = render_html(made, tmp_path, "paid-api")
    page = Page(text)
    first = text[: text.index('<section class="question"')]
    assert "Fix first" in first
    assert "It shows strong signs of a backdoor: Number, 0.300." in first
    assert "a paid API" in first
    assert first.index("Does it carry a backdoor?") < first.index("How easily is it fooled?")
    assert "1 method did not finish." in first
    assert "broke" in page.text
    folded = [tag for tag in page.find("details") if "open" in tag]
    assert folded == []
    assert len([tag for tag in page.find("details") if tag.get("class") == "method"]) == 2
