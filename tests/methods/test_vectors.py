"""Every method beside a target that reads vectors: it works as for images, or says in one sentence why not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from assay import audit
from assay.access import Serving
from assay.data.splits import Splits
from assay.data.vectors import Vectors
from assay.methods.method import METHODS
from assay.methods.stealing.strategies import STRATEGIES
from assay.studies import Trial, Workspace, make_method, run_trials
from assay.targets.target import Target
from methods.test_every_method import SHADOWS

FEW = {name: value for name, value in SHADOWS.items() if name != "architecture"}
THEFT = {"epochs": 3, "up_to": 60}
ROWS: dict[str, dict[str, Any]] = {
    "membership.boundary": {"max_members": 20, "max_non_members": 20, "queries_per_sample": 60},
    "membership.label_only": {},
    "membership.lira": FEW,
    "membership.metrics": {},
    "membership.mlp": {"epochs": 2},
    "membership.pooled": FEW,
    "membership.quantile": {"epochs": 2},
    "membership.rmia": FEW,
    "stealing.basic": THEFT,
    "stealing.best": THEFT,
    "stealing.foundation": THEFT,
    "stealing.mebench": {**THEFT, "checkpoints": [20, 40]},
    "stealing.securitynet": THEFT,
    "stealing.theft": {**THEFT, "strategy": "margin:rounds=2"},
}
SCALE = np.array([1.0, 1000.0, 0.01])


def part(seed: int, count: int, name: str) -> Vectors:
    random = np.random.default_rng(seed)
    raw = random.random((count, 3)) * SCALE
    flipped = random.random(count) < 0.2
    return Vectors(raw, (((raw / SCALE).sum(axis=1) > 1.5) ^ flipped).astype(np.int64), name)


def by_heart(members: Vectors) -> Target:
    """A target that knows its members' labels, and what is true of all others."""
    known = {row.tobytes(): label for row, label in zip(members.vectors.round(2), members.labels, strict=True)}

    def predict(batch: np.ndarray) -> np.ndarray:
        rule = ((batch / SCALE).sum(axis=1) > 1.5).astype(int)
        labels = [known.get(row.tobytes(), own) for row, own in zip(batch.round(2), rule, strict=True)]
        return np.where(np.eye(2)[labels] > 0, 0.9, 0.1)

    splits = Splits(members, part(1, 120, "others"), part(2, 120, "pool"))
    return Target.from_function(
        predict, digest="by heart", input_shape=(1, 1, 3), num_classes=2, splits=splits, modality="vector", name="table"
    )


@pytest.fixture(scope="module")
def target() -> Target:
    return by_heart(part(0, 120, "members"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("vectors") / "workspace")


def test_every_method_for_vectors_has_a_row() -> None:
    assert sorted(ROWS) == [name for name, kind in METHODS.items() if "vector" in kind.modalities]


@pytest.mark.parametrize("name", ROWS)
def test_works_on_vectors(name: str, target: Target, workspace: Workspace) -> None:
    trial = Trial(target, make_method(name, None, ROWS[name]), Serving(), 3)
    (outcome,) = run_trials([trial], workspace).outcomes
    assert outcome.status == "done", outcome.reason
    assert outcome.verdict is not None
    assert all(metric.interval is not None or metric.note for metric in outcome.metrics)
    assert not [figure for figure in outcome.figures if figure.kind == "gallery"]
    assert outcome.spent.images > 0


@pytest.mark.parametrize("name", [name for name in METHODS.names() if name not in ROWS])
def test_the_rest_says_why_not(name: str, target: Target) -> None:
    assert Trial(target, make_method(name), Serving(), 0).why_not() == "It works on images, and table reads vectors."


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("membership.lira", {"architecture": "tiny-cnn"}, "The architecture tiny-cnn is for images"),
        ("membership.lira", {"flip": True}, "The option flip is for images"),
        ("stealing.theft", {"architecture": "tiny-cnn"}, "cannot take the target's vectors"),
        ("stealing.theft", {"shift": 1}, "The option shift is for images, and the target reads vectors"),
        ("stealing.theft", {"learner": "fixmatch"}, "alters images, and the target reads vectors"),
        ("stealing.theft", {"strategy": "jacobian"}, "for images, and the target reads vectors"),
        ("stealing.theft", {"strategy": "substitution"}, "for texts, and the target reads vectors"),
    ],
)
def test_options_of_images_are_refused(
    name: str, options: dict[str, Any], says: str, target: Target, workspace: Workspace
) -> None:
    trial = Trial(target, make_method(name, None, {**ROWS[name], **options}), Serving(), 0)
    (outcome,) = run_trials([trial], workspace).outcomes
    assert outcome.status == "failed"
    assert says in outcome.reason


def test_strategies_for_vectors() -> None:
    fit = [name for name in STRATEGIES.names() if "vector" in STRATEGIES.get(name).modalities]
    assert {"random", "entropy", "margin", "k-center"} <= set(fit)


def test_who_was_learned_by_heart_is_found_and_nobody_else(target: Target, workspace: Workspace) -> None:
    found = audit(target, preset=None, methods=["membership.label_only"], workspace=workspace)
    leak = found.outcomes[0].metric("auc_correctness").interval
    assert leak is not None
    assert leak.low > 0.52
    stranger = Target.from_function(
        lambda batch: np.where(np.eye(2)[((batch / SCALE).sum(axis=1) > 1.5).astype(int)] > 0, 0.9, 0.1),
        digest="the rule", input_shape=(1, 1, 3), num_classes=2, splits=target.splits, modality="vector",
    )  # fmt: skip
    found = audit(stranger, preset=None, methods=["membership.label_only"], workspace=workspace)
    fair = found.outcomes[0].metric("auc_correctness").interval
    assert fair is not None
    assert fair.low < 0.5 < fair.high


def test_a_part_of_other_width_is_refused(target: Target) -> None:
    wide = Vectors(np.eye(4), np.zeros(4, np.int64), "wide")
    with pytest.raises(Exception, match=r"table takes vectors of 3 features, and wide has 4"):
        target.with_splits(Splits(wide))
