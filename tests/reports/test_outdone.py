"""A low of a theft that another one outdoes."""

import pytest

from assay.methods.metric import Metric
from assay.reports.answers import answer
from assay.reports.outdone import checked
from assay.reports.report import assemble
from reports.samples import outcome, ratio, target


def theft(name, agreement, *, level="low", where="here", queries=2500.0, **options):
    found = [
        ratio("agreement", "Agreement", agreement, agreement - 0.02, agreement + 0.02, "exact", n=1000),
        Metric(name="queries", label="Images asked", value=queries, note="Counted exactly."),
    ]
    facts = target().model_copy(update={"digest": where, "name": where})
    made = outcome("stealing", f"{name} theft", metrics=found, level=level, facts=facts)
    method = made.method.model_copy(update={"name": f"stealing.{name}", "options": options})
    return made.model_copy(update={"method": method, "key": f"{made.key[:50]}{where}{name}{queries}"})


def levels(outcomes, peers=()):
    return [(one.verdict.level, one.verdict.weak) for one in checked(outcomes, peers)]


@pytest.mark.parametrize(("best", "expected"), [(0.55, ("undecided", True)), (0.54, ("low", False))])
def test_a_theft_that_another_beats_by_ten_points_here_is_not_low(best, expected):
    assert levels([theft("basic", 0.45), theft("best", best)]) == [expected, ("low", False)]


def test_the_stronger_theft_still_answers_low():
    revised = checked([theft("basic", 0.40), theft("best", 0.55)])
    found = answer("stealing", revised)
    assert (found.level, found.metric.value) == ("low", 0.55)
    assert "with as many questions stealing.best reached 55.0 % on this model" in revised[0].verdict.sentence


def test_other_budgets_and_thefts_that_are_not_low_are_left():
    assert levels([theft("basic", 0.45), theft("best", 0.7, level="elevated", queries=5000.0)])[0] == ("low", False)
    assert levels([theft("basic", 0.62, level="elevated"), theft("best", 0.9, level="high")]) == [
        ("elevated", False),
        ("high", False),
    ]


def peers(ahead, count=2):
    one = [theft("basic", 0.5, where=f"peer {n}") for n in range(count)]
    return one + [theft("best", 0.5 + ahead, level="elevated", where=f"peer {n}") for n in range(count)]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        (peers(0.15), "undecided"),
        (peers(0.09), "low"),
        (peers(0.15, count=1), "low"),
        (peers(0.15)[:3], "low"),
    ],
    ids=["by 15 points on two", "by 9 points", "on one only", "both on one only"],
)
def test_what_was_stronger_on_other_models_must_have_been_run_here(others, expected):
    found = assemble([theft("basic", 0.45)], peers=others)
    assert found.outcomes[0].verdict.level == expected
    assert next(one for one in found.answers if one.family == "stealing").level == expected
    if expected == "undecided":
        assert "on 2 other models stealing.best agreed by 15 points more" in found.outcomes[0].verdict.sentence


def test_a_stronger_theft_that_was_run_here_and_brought_no_more_leaves_low():
    assert levels([theft("basic", 0.45), theft("best", 0.5)], peers(0.15)) == [("low", False)] * 2


def test_other_options_are_another_theft():
    mine = theft("basic", 0.45, epochs=3)
    assert levels([mine], peers(0.15)) == [("low", False)], "nobody compared this one with the other"
