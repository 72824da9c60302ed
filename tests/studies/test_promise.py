"""What several seeds say of another: by simulation, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest

from assay.methods.metric import Level, Scale
from assay.studies.outcome import Outcome
from assay.studies.promise import FEWEST, fell, holds
from reports.samples import outcome, ratio

AUC = Scale(risk="up", chance=0.5, high=0.6, low=0.52)
P_VALUE = Scale(risk="down", chance=0.5, high=0.05, low=0.3)


def found(value: float, half: float = 0.01, level: Level = "elevated", scale: Scale = AUC) -> list[Outcome]:
    metric = ratio("number", "Number", value, value - half, value + half, "exact", n=100, scale=scale)
    return [outcome("membership", "Confidence attack", level=level, metrics=[metric])]


def test_seeds_that_agree_well_below_the_threshold_hold() -> None:
    assert holds("high", [found(0.55), found(0.551), found(0.549)])


@pytest.mark.parametrize(
    ("seeds", "why"),
    [
        ([found(0.55), found(0.55)], "two seeds are too few"),
        ([found(0.58), found(0.59), found(0.57)], "the seeds lie so far apart that another may be above"),
        ([found(0.595), found(0.595), found(0.595)], "their intervals reach over the threshold"),
        ([found(0.55), found(0.55), found(0.55, level="high")], "one of them found it again"),
        ([[], [], []], "nothing was found"),
    ],
)
def test_what_another_seed_may_undo_does_not_hold(seeds: list[list[Outcome]], why: str) -> None:
    assert not holds("high", seeds), why


def test_every_method_must_stay_short_and_must_have_run_with_every_seed() -> None:
    second = ratio("other", "Other", 0.599, 0.59, 0.61, "exact", n=100, scale=AUC)
    other = outcome("membership", "Another attack", level="elevated", metrics=[second])
    assert not holds("high", [[*found(0.55), other]] * FEWEST)
    assert holds("high", [found(0.55)] * FEWEST)
    missing = [[*found(0.55), *found(0.55)], *[found(0.55)] * 2]
    assert holds("high", missing), "the same attack twice is one attack"
    quiet = other.model_copy(update={"metrics": [ratio("other", "Other", 0.5, 0.4, 0.55, "exact", n=9, scale=AUC)]})
    assert not holds("high", [[*found(0.55), quiet], *[found(0.55)] * 2]), "an attack that ran with one seed alone"


def test_an_elevated_answer_holds_only_below_where_elevated_begins_in_the_direction_of_the_risk() -> None:
    assert not holds("elevated", [found(0.53, level="undecided")] * FEWEST)
    assert holds("elevated", [found(0.505, level="low")] * FEWEST)
    assert holds("elevated", [found(0.4, level="low", scale=P_VALUE)] * FEWEST)
    assert not holds("elevated", [found(0.29, level="undecided", scale=P_VALUE)] * FEWEST)
    assert not fell("elevated", found(0.55))
    assert fell("high", found(0.55))


@pytest.mark.parametrize("mean", [0.58, 0.59, 0.595, 0.6])
def test_a_promise_is_made_and_broken_by_the_next_seed_in_fewer_than_5_of_100_runs(mean: float) -> None:
    """Numbers of seeds are normal, and looked at after three, four and five, as the engine does."""
    random, broken = np.random.default_rng(0), 0
    for _ in range(400):
        *seen, further = random.normal(mean, 0.01, 6)
        of_each = [found(value, half=0.0) for value in seen]
        promised = any(holds("high", of_each[:count]) for count in range(FEWEST, len(of_each) + 1))
        broken += promised and further > AUC.high
    assert broken < 0.05 * 400
    assert broken or mean == 0.58, "the simulation reaches the threshold"
