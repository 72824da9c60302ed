from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from assay.base.errors import UsageError
from assay.methods.finding import Metric, Samples
from assay.reports.gate.check import Check, check
from assay.reports.results import Result
from assay.studies.outcome import Outcome
from assay.studies.samples import write_samples
from assay.studies.sanity import Sanity, Share
from reports.gate.cases import RULE, fgsm, policy, result, share
from reports.samples import outcome, target, unfinished


def judged(folder: Path, text: str, found: Result, baseline: Result | None = None) -> Check:
    (one,) = check(policy(folder, text), [found], [baseline] if baseline else None).checks
    return one


def test_an_absolute_bound_is_held_against_the_intervals_bound(tmp_path: Path) -> None:
    metric = share(50, 100)
    assert metric.interval is not None
    for bound, status in ((metric.interval.high + 1e-6, "passed"), (metric.interval.high - 1e-6, "failed")):
        assert judged(tmp_path, f"{RULE}max = {bound}", result(fgsm(metric))).status == status
    for bound, status in ((metric.interval.low - 1e-6, "passed"), (metric.interval.low + 1e-6, "failed")):
        assert judged(tmp_path, f"{RULE}min = {bound}", result(fgsm(metric))).status == status
    failed = judged(tmp_path, f"{RULE}max = 0.55", result(fgsm(metric)))
    assert failed.reason == "The interval reaches up to 0.602, and may reach 0.55 at most."


def test_nothing_passes_where_the_model_itself_is_in_doubt(tmp_path: Path) -> None:
    share_right = Share(value=0.1, low=0.07, high=0.15, n=256)
    doubt = Sanity(accuracy={"non_members": share_right}, majority=0.1, chance=0.1, doubt="It is at chance.")
    sane = fgsm(share(1, 100))
    doubted = sane.model_copy(update={"target": sane.target.model_copy(update={"sanity": doubt})})
    for text in (f"{RULE}max = 0.9", '[[rule]]\nquestion = "evasion"\nworst = "elevated"\n'):
        assert judged(tmp_path, text, result(sane)).status == "passed"
        one = judged(tmp_path, text, result(doubted))
        assert (one.status, one.reason) == ("failed", "The model itself is in doubt: It is at chance.")


UNUSABLE = {
    "has no value": Metric(name="success", label="", value=None, note="Too few images."),
    "has no interval": Metric(name="success", label="", value=0.1, note="Counted."),
    "reports no success: did you mean 'succes'?": share(1, 100, "succes"),
}


@pytest.mark.parametrize("reason", UNUSABLE)
@pytest.mark.parametrize("optional", ["true", "false"])
def test_a_number_that_cannot_decide_fails_with_its_reason(tmp_path: Path, reason: str, optional: str) -> None:
    text = f"{RULE}max = 0.9\noptional = {optional}"
    one = judged(tmp_path, text, result(fgsm(UNUSABLE[reason])))
    assert one.status == "failed"
    assert reason in one.reason
    assert UNUSABLE[reason].note in one.reason
    base = judged(tmp_path, f"{RULE}max_increase = 1", result(fgsm(share(1, 100))), result(fgsm(UNUSABLE[reason])))
    assert base.status == "failed"
    assert "aseline" in base.reason


ABSENT: dict[str, tuple[Outcome, str]] = {
    "not run": (outcome("membership", "Metrics"), "evasion.fgsm was not run."),
    "skipped": (unfinished("evasion", "FGSM", "skipped", "It needs a gradient."), "skipped: It needs a gradient."),
}


@pytest.mark.parametrize("name", ABSENT)
def test_what_was_not_done_fails_unless_it_may_be_missing(tmp_path: Path, name: str) -> None:
    found, reason = ABSENT[name]
    one = judged(tmp_path, f"{RULE}max = 1", result(found))
    assert (one.status, one.reason.endswith(reason)) == ("failed", True)
    gate = check(policy(tmp_path, f"{RULE}max = 1\noptional = true"), [result(found)])
    assert [each.status for each in gate.checks] == ["skipped"]
    assert gate.exit_code == 3
    assert gate.verdict == "Nothing was assessed: none of 1 check applied."


def test_what_broke_fails_even_if_it_may_be_missing(tmp_path: Path) -> None:
    broken = unfinished("evasion", "FGSM", "failed", "Out of memory.")
    assert judged(tmp_path, f"{RULE}max = 1\noptional = true", result(broken)).status == "failed"
    text = "[[rule]]\nquestion = 'evasion'\nworst = 'elevated'\noptional = true"
    assert judged(tmp_path, text, result(broken)).status == "failed"


@pytest.mark.parametrize("level", ["low", "undecided", "elevated", "high"])
@pytest.mark.parametrize("worst", ["low", "undecided", "elevated"])
def test_a_question_may_be_answered_no_worse(tmp_path: Path, level: str, worst: str) -> None:
    order = ("low", "undecided", "elevated", "high")
    found = result(outcome("backdoor", "STRIP", level=level))  # type: ignore[arg-type]
    one = judged(tmp_path, f"[[rule]]\nquestion = 'backdoor'\nworst = '{worst}'", found)
    assert (one.status == "passed") == (order.index(level) <= order.index(worst))
    assert one.measured == level
    other = judged(tmp_path, f"[[rule]]\nquestion = 'stealing'\nworst = '{worst}'", found)
    assert (other.status, other.reason) == ("failed", "No method of this kind was run.")
    absent = judged(tmp_path, f"[[rule]]\nquestion = 'siblings'\nworst = '{worst}'\noptional = true", found)
    assert absent.status == "skipped"


def test_of_several_seeds_the_one_that_fails_counts(tmp_path: Path) -> None:
    both = result(fgsm(share(10, 1000), seed=0), fgsm(share(900, 1000), seed=1))
    assert judged(tmp_path, f"{RULE}max = 0.5", both).status == "failed"


def test_a_relative_rule_fails_only_beyond_chance_and_tolerance(tmp_path: Path) -> None:
    base = result(fgsm(share(300, 1000)))
    for hits, rise, fall in ((300, "passed", "passed"), (340, "passed", "passed"), (420, "failed", "passed"),
                             (180, "passed", "failed")):  # fmt: skip
        found = result(fgsm(share(hits, 1000)))
        assert judged(tmp_path, f"{RULE}max_increase = 0", found, base).status == rise, hits
        assert judged(tmp_path, f"{RULE}max_decrease = 0", found, base).status == fall, hits
    tolerated = judged(tmp_path, f"{RULE}max_increase = 0.1", result(fgsm(share(420, 1000))), base)
    assert tolerated.status == "passed"
    assert "+0.12 against the baseline [" in tolerated.measured


def test_more_comparisons_ask_for_more_evidence(tmp_path: Path) -> None:
    found, base = result(fgsm(share(375, 1000))), result(fgsm(share(300, 1000)))
    one = check(policy(tmp_path, f"{RULE}max_increase = 0"), [found], [base])
    many = check(policy(tmp_path, f"{RULE}max_increase = 0\n" * 30), [found], [base])
    assert (one.comparisons, one.exit_code) == (1, 1)
    assert (many.comparisons, many.exit_code) == (30, 0)


def test_a_relative_rule_needs_a_baseline_that_measured_the_same(tmp_path: Path) -> None:
    found, text = fgsm(share(30, 100)), f"{RULE}max_increase = 0.1"
    with pytest.raises(UsageError, match="--baseline"):
        judged(tmp_path, text, result(found))
    other_options = found.model_copy(update={"method": found.method.model_copy(update={"options": {"epsilon": 1.0}})})
    other_version = found.model_copy(update={"method": found.method.model_copy(update={"version": 9})})
    lacking = outcome("evasion", "FGSM", metrics=[share(1, 10, "other")])
    for base, reason in (
        (other_options, "other options"),
        (other_version, "another version"),
        (lacking, "reports no success"),
        (ABSENT["skipped"][0], "It needs a gradient."),
        (ABSENT["not run"][0], "it was not run"),
    ):
        one = judged(tmp_path, text, result(found), result(base))
        assert one.status == "failed"
        assert reason in one.reason


def test_models_meet_their_own_baseline(tmp_path: Path) -> None:
    a, b = result(fgsm(share(100, 1000), "a")), result(fgsm(share(600, 1000), "b"))
    rules = policy(tmp_path, f"{RULE}max_increase = 0")
    assert check(rules, [a, b], [b, a]).exit_code == 0
    lost = check(rules, [result(fgsm(share(1, 10), "c"))], [a, b])
    assert lost.checks[0].reason.startswith("The baseline has no result for c")
    renamed = check(rules, [result(fgsm(share(600, 1000), "a-next"))], [a])
    assert (renamed.exit_code, renamed.checks[0].target) == (1, "a-next")


def kept(folder: Path, successes: np.ndarray, name: str) -> Result:
    """A result whose samples lie in a folder of artefacts."""
    one = fgsm(share(int(np.nansum(successes)), int(np.isfinite(successes).sum())), name)
    file = folder / name / one.key / "samples.parquet"
    file.parent.mkdir(parents=True)
    write_samples(Samples(np.arange(len(successes)), outcomes={"success": successes.astype(float)}), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return result(one.model_copy(update={"artefacts": {"samples.parquet": digest}}), artefacts=folder / name)


def test_shared_samples_are_compared_image_by_image(tmp_path: Path) -> None:
    old = (np.arange(400) % 2).astype(np.float32)
    new = np.where(np.arange(400) < 40, 1, old).astype(np.float32)
    old[399] = np.nan
    base, found = kept(tmp_path, old, "old"), kept(tmp_path, new, "new")
    text = f"{RULE}max_increase = 0"
    one = judged(tmp_path, text, found, base)
    assert one.status == "failed"
    assert "(399 shared samples)" in one.reason
    assert judged(tmp_path, text, found._replace(artefacts=None), base).status == "passed"
    (file,) = (tmp_path / "old").rglob("*.parquet")
    write_samples(Samples(np.arange(400), outcomes={"success": np.zeros(400)}), file)
    assert judged(tmp_path, text, found, base).status == "passed", "a file that was changed since is not used"


def test_other_data_are_other_samples(tmp_path: Path) -> None:
    successes = np.ones(100, np.float32)
    base, found = kept(tmp_path, successes, "old"), kept(tmp_path, 0 * successes, "new")
    (one,) = found.report.outcomes
    elsewhere = one.model_copy(update={"target": target("new").model_copy(update={"data": {}})})
    assert "100 shared" in judged(tmp_path, f"{RULE}max_decrease = 0", found, base).reason
    other = result(elsewhere, artefacts=found.artefacts)
    assert "independent" in judged(tmp_path, f"{RULE}max_decrease = 0", other, base).reason
