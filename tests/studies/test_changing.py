"""What is measured behind changes of the serving, on a network that gives its training set away by confidence alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.access import Serving
from assay.api import prepare
from assay.data.images import ArrayImages, to_pixels
from assay.data.splits import Splits
from assay.reports.answers import answer
from assay.studies import Workspace, changing, run_trials
from assay.studies.changes import CHANGES, FOLDER, read_changes
from assay.studies.changing import measure_changes, served_cost
from assay.studies.schedule import Expected
from assay.studies.trial import Trial
from assay.targets.target import Target
from studies.doubles import Count, target

SIDE = 4
ATTACKS = ("membership.metrics", "membership.label_only")


class Sure(torch.nn.Module):
    """Right about every image, by its first pixel, and surer where its last pixel is bright: of members."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        labels = (images[:, 0, 0, 0] * 255).round().long() % 3
        sure = 1.0 + 6.0 * images[:, 0, -1, -1]
        return torch.nn.functional.one_hot(labels, 3) * sure[:, None]


def part(n: int, bright: tuple[int, int], seed: int) -> ArrayImages:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (n, 1, SIDE, SIDE), dtype=np.uint8)
    images[:, 0, -1, -1] = random.integers(*bright, n)
    return ArrayImages(images, images[:, 0, 0, 0].astype(np.int64) % 3, f"made {seed}")


@pytest.fixture
def leaky() -> Target:
    splits = Splits(part(400, (100, 256), 0), part(400, (0, 156), 1), None)
    return Target.from_module(Sure(), input_shape=(1, SIDE, SIDE), num_classes=3, splits=splits, name="sure")


OPTIONS = {name: {"blind_baseline": False} for name in ATTACKS}


def test_what_hides_the_confidence_is_proposed_and_holds_when_it_is_applied(leaky: Target, tmp_path: Path) -> None:
    prepared = prepare(leaky, methods=ATTACKS, options=OPTIONS, workspace=tmp_path / "first", device="cpu")
    audit = prepared.measure_changes(prepared.run(), seconds=300)
    (before,) = [one for one in audit.report.answers if one.family == "membership"]
    assert before.level == "high"
    remedy = audit.report.remedy("membership")
    assert remedy is not None
    assert remedy.cheapest is not None
    promised = remedy.cheapest
    assert promised.level != "high"
    cost = {metric.name: metric.value for metric in promised.cost}
    assert cost["labels_kept"] == 1.0
    assert cost["accuracy_change"] == 0.0
    assert promised.command.startswith("assay audit sure --")

    change = next(one for one in CHANGES if one.name == promised.name)
    again = prepare(
        leaky,
        methods=ATTACKS,
        options=OPTIONS,
        serving=change.serving(Serving().model_dump()),
        seed=1,
        workspace=tmp_path / "again",
        device="cpu",
    ).run()
    assert answer("membership", again.outcomes).level in ("low", "elevated", "undecided")
    rounding = next(one for one in remedy.tried if one.name == "rounding-2")
    assert rounding.level == "high", "two decimals hide nothing here"


def test_what_is_measured_aside_is_not_among_the_outcomes_and_is_found_again(leaky: Target, tmp_path: Path) -> None:
    prepared = prepare(
        leaky, methods=ATTACKS[:1], workspace=tmp_path, device="cpu", options={ATTACKS[0]: OPTIONS[ATTACKS[0]]}
    )
    audit = prepared.run()
    measured = measure_changes(prepared.trials, audit.outcomes, prepared.workspace, seconds=300)
    assert {one.family for one in measured} == {"membership"}
    assert [one.key for one in prepared.workspace.outcomes()] == [one.key for one in audit.outcomes]
    assert not list((tmp_path / FOLDER / "stores").iterdir()), "answers are the audit's"
    found = read_changes(tmp_path, audit.outcomes)
    assert sorted(one.name for one in found) == sorted(one.name for one in measured)
    assert read_changes(tmp_path, []) == []
    (tmp_path / FOLDER / "measured" / f"{found[0].name}.json").write_text("{")
    assert len(read_changes(tmp_path, audit.outcomes)) == len(found) - 1


def test_without_time_every_change_says_that_it_was_left_out(leaky: Target, tmp_path: Path) -> None:
    prepared = prepare(
        leaky, methods=ATTACKS[:1], workspace=tmp_path, device="cpu", options={ATTACKS[0]: OPTIONS[ATTACKS[0]]}
    )
    audit = prepared.run()
    measured = measure_changes(prepared.trials, audit.outcomes, prepared.workspace, seconds=0)
    assert measured
    assert all(one.left_out and not one.outcomes for one in measured)
    longer = measure_changes(prepared.trials, audit.outcomes, prepared.workspace, seconds=300)
    assert not any(one.left_out for one in read_changes(tmp_path, audit.outcomes)), "the last measurement counts"
    assert len(longer) == len(measured)


def test_a_low_answer_is_left_alone(tmp_path: Path) -> None:
    trial = Trial(target(), Count(), Serving(), 0)
    ran = run_trials([trial], Workspace(tmp_path))
    assert measure_changes([trial], ran.outcomes, Workspace(tmp_path)) == []
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize("name", [change.name for change in CHANGES if change.policies or change.output])
def test_a_change_comes_on_top_of_what_is_served(name: str) -> None:
    change = next(one for one in CHANGES if one.name == name)
    served = Serving.model_validate(change.serving(Serving(policies=("top=2",), price_per_1000=2.0).model_dump()))
    assert served.policies == ("top=2", *change.policies)
    assert served.output == (change.output or "posteriors")
    assert served.price_per_1000 == 2.0


@pytest.mark.parametrize(
    ("serving", "distance"),
    [(Serving(), lambda true: 0.0), (Serving(output="label"), lambda true: float((2 - 2 * true.max(1)).mean()))],
)
def test_the_cost_is_what_honest_users_lose(
    serving: Serving, distance: Callable[[np.ndarray], float], leaky: Target, tmp_path: Path
) -> None:
    trial = replace(prepare(leaky, methods=ATTACKS[:1], workspace=tmp_path, device="cpu").trials[0], serving=serving)
    cost = {metric.name: metric for metric in served_cost(trial, Workspace(tmp_path))}
    assert leaky.splits.non_members is not None
    true = torch.softmax(Sure()(to_pixels(leaky.splits.non_members.take(np.arange(400)))), 1).numpy()
    assert cost["l1_distance"].value == pytest.approx(distance(true), abs=1e-5)
    assert cost["labels_kept"].value == 1.0
    assert cost["l1_distance"].n == 400


def test_no_change_can_be_taken_back() -> None:
    """Every policy that is proposed gives one answer to many posteriors: nobody can tell which it was."""
    from assay.access.policies import parse_policy

    policies = [parse_policy(text) for change in CHANGES for text in change.policies]
    assert policies
    for policy in policies:
        assert policy.undone(np.full((1, 3), 1 / 3, np.float32)) is None
        assert policy.imitated(7) == policy, "it has no secret to guess"


def test_a_change_whose_attacks_do_not_all_fit_runs_none_of_them(
    leaky: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(
        leaky, methods=ATTACKS[:1], workspace=tmp_path, device="cpu", options={ATTACKS[0]: OPTIONS[ATTACKS[0]]}
    )
    audit = prepared.run()

    def slow(trials: Sequence[Trial], workspace: Workspace) -> list[Expected]:
        return [Expected(trial, None, 40.0 * number, "counted") for number, trial in enumerate(trials)]

    monkeypatch.setattr(changing, "expect", slow)
    monkeypatch.setattr(changing, "run_expected", None)  # calling it fails
    several = [one for one in CHANGES if len(one.attacks.get("membership", ())) > 1]
    monkeypatch.setattr(changing, "CHANGES", several)
    measured = measure_changes(prepared.trials, audit.outcomes, prepared.workspace, seconds=30)
    assert measured
    assert all("were left for changes" in one.left_out for one in measured)
