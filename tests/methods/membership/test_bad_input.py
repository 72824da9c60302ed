"""What every attack that needs no shadow model makes of people who cannot be told apart, or should not be judged."""

import numpy as np
import pytest

from assay.base.errors import DataError
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.membership.augmentation import Augmentation
from assay.methods.membership.boundary import Boundary
from assay.methods.membership.label_only import LabelOnly
from assay.methods.membership.metrics_attack import MetricAttacks
from assay.methods.membership.mlp_attack import MlpAttack
from methods.membership import people

ALL = [
    MetricAttacks(),
    LabelOnly(),
    MlpAttack(epochs=2),
    Augmentation(),
    Boundary(queries_per_sample=30, directions=8),
]


def run(method, data, tmp_path, function=people.answer):
    return method.run(people.oracle(people.target(data, function), tmp_path), data, people.context(tmp_path))


def always_the_first(pixels):
    return np.tile(np.array([[0.6, 0.1, 0.1, 0.1, 0.1]], np.float32), (len(pixels), 1))


def of_one_label(data):
    return Splits(*(ArrayImages(part.images, np.zeros(len(part), np.int64), part.name) for part in data[:2]))


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
def test_equal_scores_are_a_guess_and_never_a_leak(method, tmp_path):
    found = run(method, of_one_label(people.splits(120, 120)), tmp_path, always_the_first)
    aucs = [m for m in found.metrics if m.name.startswith("auc_") and m.name != "auc_blind"]
    assert {metric.value for metric in aucs} == {0.5}
    assert all(metric.interval.low < 0.5 < metric.interval.high for metric in aucs)
    assert (
        found.metric("balanced_accuracy" if method.name != "membership.label_only" else "auc_correctness").value == 0.5
    )
    assert found.verdict.level in ("low", "undecided")


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
@pytest.mark.parametrize("missing", ["members", "non_members"])
def test_members_or_non_members_alone_are_refused(method, missing, tmp_path):
    with pytest.raises(DataError, match="needs members and non-members"):
        run(method, people.splits(20, 20)._replace(**{missing: None}), tmp_path)


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
def test_members_among_the_non_members_are_found_by_their_pixels(method, tmp_path):
    data = people.splits(40, 40)
    images, labels = (np.concatenate([getattr(part, name) for part in data[:2]]) for name in ("images", "labels"))
    mixed = Splits(data.members, ArrayImages(images, labels, "mixed"))
    with pytest.raises(DataError, match="40 of 80 non-members are members too"):
        run(method, mixed, tmp_path)
