"""HopSkipJump as an evasion attack: labels alone, never more questions than allowed, distances that exist."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.access import Oracle, PosteriorStore, Serving, WhiteBox
from assay.base.errors import BudgetError, DataError
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.check import check_finding
from assay.methods.evasion.fab import Fab
from assay.methods.evasion.label_only import HopSkipJump
from assay.methods.evasion.square import Square
from assay.targets.target import Target
from methods.evasion.masked import MASKS
from methods.evasion.small import CLASSES, SHAPE, context_of, network, target_of


def asked(method, target, folder, **serving):
    oracle = Oracle(target, Serving(**serving), PosteriorStore(folder / "store.bin", target.num_classes))
    finding = check_finding(method.run(oracle, target.splits, context_of(folder)), method.name, folder)
    return finding, oracle


def test_labels_suffice_and_distances_come_near_the_white_box_s(tmp_path):
    target = target_of(network(), count=40)
    finding, oracle = asked(HopSkipJump(max_queries=600, max_images=40), target, tmp_path, output="label")
    near = Fab(steps=30, targets=2).run(WhiteBox(target), target.splits, context_of(tmp_path))
    ours = dict(zip(finding.samples["row"], finding.samples["distance"], strict=True))
    least = dict(zip(near.samples["row"], near.samples["distance"], strict=True))
    ratios = [ours[row] / least[row] for row in ours if np.isfinite(ours[row]) and np.isfinite(least[row])]
    assert len(ratios) == 30
    assert min(ratios) > 0.9
    assert np.median(ratios) < 1.35
    assert oracle.ledger.images + oracle.ledger.duplicates <= 40 + 30 * 600
    right = finding.samples["predicted"] == finding.samples["label"]
    assert finding.samples["mean_queries"][right].max() <= 600
    curve = finding.figures[0].series[0]
    assert curve.y == sorted(curve.y)


@pytest.mark.parametrize(("budget", "images"), [(100, 1), (350, 3)])
def test_a_budget_limits_the_images(budget, images, tmp_path):
    target = target_of(network(), wrong=0)
    finding, oracle = asked(HopSkipJump(max_queries=100), target, tmp_path, output="label", budget=budget)
    assert len(finding.samples["row"]) == images
    assert oracle.ledger.images <= budget


def far_plane():
    """Two classes of grey images, all of them farther than the usual size from the plane between them."""

    class Plane(torch.nn.Module):
        def forward(self, images):
            height = images.flatten(1).sum(dim=1) - 32.0
            return torch.stack([-height, height], dim=1)

    values = np.concatenate([np.linspace(0.05, 0.25, 25), np.linspace(0.75, 0.95, 25)]).astype(np.float32)
    images = np.repeat(values, 64).reshape(50, 1, 8, 8)
    splits = Splits(non_members=ArrayImages(images, (values > 0.5).astype(np.int64), "grey"))
    return Target.from_module(Plane(), input_shape=(1, 8, 8), num_classes=2, splits=splits)


def test_only_enough_questions_to_a_service_of_labels_say_low(tmp_path):
    few = asked(HopSkipJump(max_queries=60), far_plane(), tmp_path, output="label")[0].verdict
    assert (few.level, few.weak) == ("undecided", True)
    assert "More questions" in few.sentence
    method = HopSkipJump(max_queries=10_000, max_images=50, directions=3000)
    many, _ = asked(method, far_plane(), tmp_path, output="label")
    assert many.verdict.level == "low"
    other, _ = asked(method, far_plane(), tmp_path)
    assert other.verdict.level == "undecided"


def test_one_class_leaves_no_distance(tmp_path):
    class Constant(torch.nn.Module):
        def forward(self, images):
            return torch.tensor([[5.0, 0.0, 0.0]]).expand(len(images), 3) + 0 * images.flatten(1)[:, :3]

    target = Target.from_module(Constant(), input_shape=SHAPE, num_classes=CLASSES, splits=target_of(network()).splits)
    finding, _ = asked(HopSkipJump(max_queries=60), target, tmp_path, output="label")
    assert finding.metric("median_distance").value is None
    assert finding.verdict.level == "undecided"


def test_the_square_attack_notices_posteriors_that_do_not_change(tmp_path):
    inner = target_of(network(), wrong=0)
    hidden = Target.from_module(
        MASKS["logits x 10,000"](inner.module), input_shape=SHAPE, num_classes=CLASSES, splits=inner.splits
    )
    method = Square(max_queries=20, epsilon=0.003)
    finding, oracle = asked(method, hidden, tmp_path)
    assert finding.verdict.level == "undecided"
    assert "posteriors do not change" in finding.verdict.sentence
    assert "hop_skip_jump" in finding.verdict.sentence
    assert oracle.ledger.images <= 60 * 20


def test_only_enough_questions_of_the_square_attack_say_low(tmp_path):
    target = target_of(network(), wrong=0)
    small, large = (Square(max_queries=n, epsilon=1e-4) for n in (20, 5000))
    found = asked(small, target, tmp_path)[0].verdict
    assert (found.level, found.weak) == ("undecided", True)
    assert "evasion.square with 5,000 questions" in found.sentence
    assert small.decides is False
    assert large.decides is True


def test_bad_input_is_one_sentence(tmp_path):
    target = target_of(network(), wrong=60)
    with pytest.raises(DataError, match="None of the 50"):
        asked(HopSkipJump(), target, tmp_path)
    with pytest.raises(BudgetError, match="One image may take 1000 questions"):
        asked(HopSkipJump(), target, tmp_path, budget=999)
    oracle = Oracle(target, Serving(), PosteriorStore(tmp_path / "b.bin", CLASSES))
    with pytest.raises(DataError, match="needs test images"):
        HopSkipJump().run(oracle, Splits(), context_of(tmp_path))
