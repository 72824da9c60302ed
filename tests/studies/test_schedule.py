"""Seconds before they are spent, and no more of them than are allowed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay.access import Answers, Oracle
from assay.api import prepare
from assay.base.errors import UsageError
from assay.base.progress import silent
from assay.cli import main
from assay.data.splits import Splits
from assay.methods.method import METHODS as REGISTRY
from assay.methods.method import Context, Method
from assay.methods.work import Sizes, Work
from assay.studies import Trial, Workspace, make_method, run_trials
from assay.studies.calibration import OVERHEAD, Calibration, calibrate, sizes
from assay.studies.plan import plan_methods, without_covered
from assay.studies.schedule import duration, expect, run_expected, tiers, total
from assay.targets.reference import load_target
from studies.doubles import Builds, Count, Failing, Opens, target, trial


class Costs(Count):
    """Takes what it says."""

    pause: float = 0.0
    forwards: int = 0

    def work(self, sizes: Sizes) -> Work | None:
        return Work(non_members=sizes.non_members, forwards=self.forwards, seconds=self.pause)

    def measure(self, access: Oracle, data: Splits, context: Context) -> Answers:
        with context.progress.step("waiting", 100) as step:
            until = time.monotonic() + self.pause
            while time.monotonic() < until:
                time.sleep(0.01)
                step.advance(0)
        return super().measure(access, data, context)


class Trains(Costs):
    """Trains what others can use."""

    def work(self, sizes: Sizes) -> Work | None:
        return Work(members=12, training=1000, trains="tiny-cnn", shared=True)


COVERED = {"backdoor.channel_noise"}


class Evades(Costs):
    """Of another family."""

    name = "evasion.costs"
    family = "evasion"


class Follows(Costs):
    """Builds on what takes long."""

    name = "stealing.follows"
    family = "stealing"

    def requires(self) -> Method:
        return Evades(pause=40.0)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "w")


def fixed(**training: float) -> Calibration:
    return Calibration(target(), 0.001, 0.004, {(name, 0): seconds for name, seconds in training.items()})


def test_work_becomes_seconds() -> None:
    calibration = fixed(net=0.01)
    work = Work(
        members=100, non_members=50, auxiliary=25, forwards=25, gradients=10, training=7, trains="net", seconds=2
    )
    assert calibration.seconds(work) == pytest.approx(OVERHEAD + 2 + 0.2 + 0.04 + 0.07)
    assert replace(calibration, gradient=None).seconds(work) is None
    assert fixed().seconds(Work(training=1, trains="no-such-network")) is None


def test_what_is_timed_is_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In seconds of the processor, for other processes share the machine."""
    monkeypatch.setattr("assay.studies.calibration.time.perf_counter", time.process_time)
    digits = load_target("starter/digits-cnn")
    found = calibrate(digits)
    images = digits.splits.non_members
    assert images is not None
    batch = images.take(np.arange(64))
    began = time.process_time()
    for _ in range(100):
        digits.logits(batch)
    took = (time.process_time() - began) / 6400
    assert took / 3 < found.forward < took * 3
    assert found.gradient is not None
    assert found.gradient > found.forward
    assert sizes(digits).non_members == len(images)


def test_answers_and_shadow_models_are_counted_once(workspace: Workspace) -> None:
    twice = expect([trial(Costs(forwards=5)), trial(Costs(scale=2.0, forwards=5))], workspace)
    assert [each.basis for each in twice] == ["counted", "counted"]
    first, second = (each.seconds for each in twice)
    assert first is not None
    assert second is not None
    assert first > second >= OVERHEAD
    trained = expect([trial(Trains()), trial(Trains(scale=2.0))], workspace)
    costs = [each.seconds or 0.0 for each in trained]
    assert costs[0] > costs[1] == pytest.approx(OVERHEAD, abs=0.01)


def test_what_is_finished_or_cannot_be_takes_nothing(workspace: Workspace) -> None:
    done = trial(Costs(pause=5.0, scale=4.0))
    assert total(expect([done], workspace)) > 5
    run_trials([trial(Costs())], workspace)
    closed = replace(target(), module=None)
    finished, skipped = expect([trial(Costs()), trial(Opens(), target=closed)], workspace)
    assert (finished.seconds, finished.basis) == (0.0, "finished")
    assert skipped.seconds == 0.0
    assert "white-box" in skipped.basis


def test_what_nobody_can_tell_is_taken_from_earlier_outcomes_or_left_out(workspace: Workspace) -> None:
    (unknown,) = expect([trial()], workspace)
    assert (unknown.seconds, unknown.basis) == (None, "unknown")
    run_trials([trial()], workspace)
    (other,) = expect([trial(target=target(seed=1))], workspace)
    assert other.basis == "earlier outcomes"
    assert other.seconds is not None
    (builds,) = expect([trial(Builds())], workspace)
    assert builds.seconds is None


def test_a_service_is_not_asked_to_be_timed(workspace: Workspace) -> None:
    def asked(images: object) -> Any:
        raise AssertionError("a question may cost")

    paid = replace(target(), answers="posteriors", logits=asked)
    (found,) = expect([trial(Costs(), target=paid)], workspace)
    assert found.seconds is None


def test_the_cheapest_of_each_question_goes_first(workspace: Workspace) -> None:
    trials = [trial(Costs(pause=p, scale=p + 1)) for p in (3.0, 1.0, 2.0)] + [
        trial(Evades(pause=9.0)),
        trial(Failing()),
    ]
    first, second = tiers(trials, workspace)
    assert [each.trial.method.model_dump().get("pause") for each in first] == [1.0, 9.0]
    assert [each.trial.method.model_dump().get("pause") for each in second] == [2.0, 3.0, None], "the unknown goes last"


def test_what_takes_long_waits_and_what_costs_next_to_nothing_does_not(workspace: Workspace) -> None:
    """The only method of a question goes first only if it is soon done; answers that are there make others cheap."""
    slow, asks, cheap, long = (
        trial(Evades(pause=40.0)),
        trial(Costs(pause=2.5, scale=2.0)),
        trial(Costs(pause=1.0)),
        trial(Costs(pause=9.0, scale=3.0)),
    )
    first, second = tiers([slow, asks, cheap, long], workspace)
    assert [each.trial.key for each in first] == [cheap.key]
    assert [each.trial.key for each in second] == [slow.key, asks.key, long.key]
    free = trial(Costs(pause=1.5, scale=4.0))
    first, second = tiers([slow, free, cheap, long], workspace, by_cost=False)
    assert [each.trial.key for each in first] == [free.key, cheap.key], "in the order given"
    assert [each.trial.key for each in second] == [slow.key, long.key]


def test_what_is_cheap_after_a_long_one_waits_for_it(workspace: Workspace) -> None:
    builds, cheap = trial(Follows()), trial(Costs(pause=1.0))
    required = builds.required
    assert required is not None
    first, second = tiers([cheap, required, builds], workspace)
    assert [each.trial.key for each in first] == [cheap.key]
    assert {each.trial.key for each in second} == {required.key, builds.key}


def test_what_builds_on_what_was_left_out_is_left_out(workspace: Workspace) -> None:
    builds = trial(Follows())
    assert builds.required is not None
    groups = [expect([builds.required, builds], workspace)]
    ran = run_expected(groups, workspace, silent(), until=time.monotonic() + 5.0)
    assert [outcome.status for outcome in ran.outcomes] == ["skipped", "skipped"]
    assert "the time allowed was too short" in ran.outcomes[1].reason


def test_a_quick_audit_leaves_out_what_another_method_does(tmp_path: Path) -> None:
    def planned(**given: Any) -> set[str]:
        prepared = prepare("starter/digits-cnn", workspace=tmp_path / "w", **given)
        return {each.method.name for each in prepared.trials} & {"backdoor.scan", *COVERED}

    assert {
        name for name, kind in ((name, REGISTRY.get(name)) for name in REGISTRY.names()) if kind.covered_by
    } == COVERED
    assert planned() == {"backdoor.scan"}
    assert planned(preset="standard") == {"backdoor.scan", *COVERED}
    assert planned(methods=["backdoor.channel_noise"]) == {"backdoor.channel_noise"}
    quick = plan_methods("quick")
    closed = replace(load_target("starter/digits-cnn"), module=None)
    assert {method.name for method in without_covered(quick, closed)} >= COVERED, "nothing else looks at a service"


def test_what_is_shared_is_counted_for_whoever_comes_first(workspace: Workspace) -> None:
    trials = [trial(Costs(pause=2.0)), trial(Costs(pause=1.0, scale=3.0))]
    sequence = [each for group in tiers(trials, workspace) for each in group]
    assert [each.work.seconds for each in sequence if each.work] == [1.0, 2.0]
    alone = expect(trials, workspace, fixed(), alone=True)
    together = expect(trials, workspace, fixed())
    assert [round(each.seconds or 0, 3) for each in alone] == [2.112, 1.112]
    assert [round(each.seconds or 0, 3) for each in together] == [2.112, 1.1]


def test_no_more_time_is_spent_than_is_allowed(workspace: Workspace) -> None:
    trials = [trial(Costs(pause=0.2)), trial(Costs(pause=60.0)), trial(Late(scale=9.0))]
    began, heard = time.monotonic(), list[tuple[str, bool]]()
    groups = tiers(trials, workspace)
    ran = run_expected(
        groups, workspace, silent(), until=began + 3.0, heard=lambda outcome, last: heard.append((outcome.status, last))
    )
    assert time.monotonic() - began < 5
    assert [outcome.status for outcome in ran.outcomes] == ["done", "skipped", "skipped"]
    assert heard == [("done", True), ("skipped", False), ("skipped", True)]
    assert "It takes about 1 min 0 s, and" in ran.outcomes[1].reason
    assert "ended when the time allowed was up" in ran.outcomes[2].reason
    again = run_expected(tiers(trials[:1], workspace), workspace, silent(), until=time.monotonic())
    assert (again.reused, again.outcomes[0].status) == (1, "done")


class Slower(Costs):
    """Takes twice as long as it says."""

    def work(self, sizes: Sizes) -> Work | None:
        return Work(seconds=self.pause / 2)


def test_what_does_not_fit_at_the_pace_so_far_is_not_started(workspace: Workspace) -> None:
    """The estimate of the second is less than what is left, and twice the estimate is not."""
    trials = [trial(Slower(pause=2.4)), trial(Slower(pause=5.0))]
    expected = expect(trials, workspace, fixed(), alone=True)
    began = time.monotonic()
    ran = run_expected([expected], workspace, silent(), until=began + 6.0)
    assert [outcome.status for outcome in ran.outcomes] == ["done", "skipped"]
    assert time.monotonic() - began < 4, "it was not begun"
    assert "It takes about 5 s" in ran.outcomes[1].reason


class Late(Costs):
    """Takes longer than anybody knew."""

    def work(self, sizes: Sizes) -> Work | None:
        return None

    def measure(self, access: Oracle, data: Splits, context: Context) -> Answers:
        return Costs(pause=60.0).measure(access, data, context)


def test_durations_are_read_at_a_glance() -> None:
    assert [duration(s) for s in (0.4, 59, 61, 3600 * 2 + 300)] == ["0 s", "59 s", "1 min 1 s", "2 h 5 min"]


METHODS = ["--method", "membership.metrics", "--method", "evasion.fgsm"]


def test_a_dry_run_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["audit", "starter/digits-mlp", *METHODS, "--workspace", str(tmp_path / "w")]
    assert main([*arguments, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "About" in shown
    assert "evasion.fgsm" in shown
    assert Workspace(tmp_path / "w").outcomes() == []
    assert main([*arguments, "--minutes", "5"]) == 0
    told = capsys.readouterr()
    assert "A first report:" in told.err
    assert main([*arguments, "--dry-run"]) == 0
    assert "finished" in capsys.readouterr().out
    assert main([*arguments, "--minutes", "0"]) == 4


def test_an_interrupted_audit_says_what_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    arguments = ["audit", "starter/digits-mlp", *METHODS, "--workspace", str(tmp_path / "w")]
    with monkeypatch.context() as patch:
        patch.setattr("assay.methods.evasion.fgsm.Fgsm.measure", interrupted)
        assert main(arguments) == 130
    told = capsys.readouterr().err
    assert "1 of 2 methods of starter/digits-mlp are finished and kept in" in told
    assert "run the same command again to go on" in told
    assert main(arguments) == 0
    assert "2 methods, about" in told


def test_minutes_bound_an_audit_from_python(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="more than 0"):
        assay.audit(target(), methods=["evasion.fgsm"], workspace=tmp_path / "w", minutes=0)
    audit = assay.audit(
        "starter/digits-cnn",
        methods=["membership.metrics", "membership.lira"],
        options={"membership.lira": {"models": 64, "epochs": 100}},
        workspace=tmp_path / "w",
        device="cpu",
        minutes=0.25,
    )
    by_name = {outcome.method.name: outcome for outcome in audit.outcomes}
    assert by_name["membership.metrics"].status == "done"
    assert by_name["membership.lira"].status == "skipped"
    assert list(by_name) == ["membership.lira", "membership.metrics"], "in the order of a report, whatever ran first"


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("stealing.basic", {"budget": 100, "epochs": 3}, Work(auxiliary=100, non_members=400)),
        ("membership.lira", {"models": 4, "epochs": 10}, Work(members=300, non_members=400)),
        ("evasion.fgsm", {"max_images": 50}, Work(forwards=350, gradients=50)),
        ("membership.metrics", {"max_members": 200}, Work(members=200, non_members=400)),
    ],
)
def test_methods_say_what_they_will_ask(name: str, options: dict[str, Any], expected: Work) -> None:
    found = make_method(name, None, options).work(Sizes(300, 400, 500, 0, 10))
    assert found is not None
    asked = ("members", "non_members", "auxiliary", "forwards", "gradients")
    assert {each: getattr(found, each) for each in asked} == {each: getattr(expected, each) for each in asked}


def test_a_theft_that_trains_while_it_asks_is_not_told_beforehand() -> None:
    theft = make_method("stealing.theft", None, {"strategy": "margin"})
    assert theft.work(Sizes(300, 400, 500, 0, 10)) is None


def test_trials_know_nothing_of_time(workspace: Workspace) -> None:
    assert trial(Costs()).key == Trial(target(), Costs(), trial().serving, 0).key
