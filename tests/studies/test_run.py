from __future__ import annotations

import pytest

from assay.studies import Workspace, run_trials
from assay.targets.target import Target
from studies.doubles import Builds, Count, Failing, Opens, splits, target, trial


@pytest.fixture
def workspace(tmp_path: object) -> Workspace:
    return Workspace(tmp_path / "workspace")  # type: ignore[operator]


def test_a_finished_trial_is_not_run_again(workspace: Workspace) -> None:
    before = Count.runs
    first = run_trials([trial()], workspace)
    second = run_trials([trial()], Workspace(workspace.path))
    assert (first.reused, second.reused) == (0, 1)
    assert Count.runs == before + 1
    assert second.outcomes == first.outcomes
    assert first.outcomes[0].spent.images == first.outcomes[0].spent.forwards == 12


def test_answers_are_shared_between_methods(workspace: Workspace) -> None:
    ran = run_trials([trial(), trial(Count(scale=2.0))], workspace)
    assert [o.spent.images for o in ran.outcomes] == [12, 12]
    assert [o.spent.forwards for o in ran.outcomes] == [12, 0]


def test_a_failure_is_recorded_does_not_stop_the_rest_and_is_tried_again(workspace: Workspace) -> None:
    ran = run_trials([trial(Failing()), trial()], workspace)
    assert [o.status for o in ran.outcomes] == ["failed", "done"]
    assert ran.outcomes[0].reason == "The images are wrong."
    assert [o.status for o in workspace.outcomes()] == ["failed", "done"]
    Failing.broken = False
    try:
        again = run_trials([trial(Failing()), trial()], workspace)
    finally:
        Failing.broken = True
    assert [o.status for o in again.outcomes] == ["done", "done"]
    assert [o.status for o in workspace.outcomes()] == ["done", "done"]


def test_an_internal_error_keeps_its_traceback(workspace: Workspace) -> None:
    class Broken(Count):
        def run(self, access: object, data: object, context: object) -> object:  # type: ignore[override]
            raise ZeroDivisionError("division by zero")

    (outcome,) = run_trials([trial(Broken())], workspace).outcomes
    assert outcome.status == "failed"
    assert "ZeroDivisionError" in (workspace.artefacts(outcome.key) / "traceback.txt").read_text()


def test_what_a_method_builds_on_is_run_first_and_once(workspace: Workspace) -> None:
    before = Count.runs
    ran = run_trials([trial(Builds()), trial(Count(scale=7.0))], workspace)
    assert [o.status for o in ran.outcomes] == ["done", "done"]
    assert ran.reused == 1
    assert Count.runs == before + 1


def test_what_cannot_apply_is_skipped_with_its_reason(workspace: Workspace) -> None:
    ask = Target.from_function(
        lambda x: target().logits(__import__("torch").from_numpy(x)).softmax(1).numpy(),
        digest="v1",
        input_shape=(1, 4, 4),
        num_classes=3,
        splits=splits(),
    )
    opens, count = run_trials([trial(Opens(), target=ask), trial(target=ask)], workspace).outcomes
    assert (opens.status, count.status) == ("skipped", "done")
    assert "white-box" in opens.reason
