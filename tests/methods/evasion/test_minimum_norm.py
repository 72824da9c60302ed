"""The base of attacks that look for the nearest misclassified image."""

import numpy as np
import pytest
import torch

from assay.access import WhiteBox
from assay.base.errors import DataError
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.check import check_finding
from assay.methods.evasion.minimum_norm import MinimumNorm, median_distance
from assay.targets.target import Target
from methods.evasion.small import context_of

SHAPE = (1, 2, 2)


class Plane(torch.nn.Module):
    """Class 1 above the plane where all pixels add up to 2."""

    def forward(self, images):
        height = 4 * (images.flatten(1).sum(dim=1) - 2.0)
        return torch.stack([-height, height], dim=1)


class ToThePlane(MinimumNorm):
    """The exact answer for `Plane`, but for images whose first pixel is below ``blind``."""

    name = "evasion.to_the_plane"
    about = About("To the plane", "The exact distance.", "None")
    blind: float = 0.0

    def attack(self, box, images, labels, generator):
        share = (2.0 - images.flatten(1).sum(dim=1)) / 4
        moved = images + (share * 1.001)[:, None, None, None]
        return torch.where((images[:, :1, :1, :1] < self.blind), images, moved)


def target_of(values):
    images = np.repeat(np.asarray(values, np.float32), 4).reshape(-1, *SHAPE)
    labels = (images.reshape(-1, 4).sum(axis=1) > 2).astype(np.int64)
    splits = Splits(non_members=ArrayImages(images, labels, "grey"))
    return Target.from_module(Plane(), input_shape=SHAPE, num_classes=2, splits=splits)


VALUES = np.linspace(0.05, 0.45, 41)


@pytest.mark.parametrize(("norm", "scale"), [("l2", 2.0), ("linf", 1.0)])
def test_distances_of_a_plane(norm, scale, tmp_path):
    target = target_of(VALUES)
    method = ToThePlane(norm=norm)
    finding = check_finding(method.run(WhiteBox(target), target.splits, context_of(tmp_path)), method.name, tmp_path)
    expected = scale * (0.5 - VALUES) * 1.001
    assert finding.samples["distance"] == pytest.approx(expected, rel=1e-3)
    median = finding.metric("median_distance")
    assert median.value == pytest.approx(scale * 0.25 * 1.001, rel=1e-3)
    assert median.interval.low < median.value < median.interval.high
    usual = 1.5 if norm == "l2" else 0.1
    success = finding.metric(f"success_at_{usual:g}")
    assert success.value == pytest.approx((expected <= usual).mean())
    assert finding.verdict.metric == success.name
    curve = finding.figures[0].series[0]
    assert curve.y[0] == 1.0
    assert curve.y[-1] == 0.0
    assert np.interp(scale * 0.25, curve.x, curve.y) == pytest.approx(0.5, abs=0.03)


def test_what_the_attack_does_not_find_is_infinitely_far(tmp_path):
    target = target_of(VALUES)
    some = ToThePlane(blind=0.2).run(WhiteBox(target), target.splits, context_of(tmp_path))
    assert np.isinf(some.samples["distance"]).sum() == (VALUES.astype(np.float32) < 0.2).sum() == 15
    assert some.metric("found").value == pytest.approx(26 / 41)
    assert some.figures[0].series[0].y[-1] == pytest.approx(15 / 41)
    most = ToThePlane(blind=0.4).run(WhiteBox(target), target.splits, context_of(tmp_path))
    assert most.metric("median_distance").value is None
    assert "half of the images" in most.metric("median_distance").note


def test_a_search_that_finds_little_leaves_it_open(tmp_path):
    """All images are farther from the plane than the usual size; nothing is masked, and one search is no ensemble."""
    target = target_of(np.linspace(0.05, 0.3, 60))
    verdict = ToThePlane(norm="linf").run(WhiteBox(target), target.splits, context_of(tmp_path)).verdict
    assert (verdict.level, verdict.weak) == ("undecided", True)
    assert "evasion.autoattack would decide" in verdict.sentence
    blind = ToThePlane(blind=1.0).run(WhiteBox(target), target.splits, context_of(tmp_path)).verdict
    assert (blind.level, blind.weak) == ("undecided", False)
    assert "APGD fools" in blind.sentence


def test_the_median_s_interval_covers():
    """Of many samples of a skewed distribution, at least 95 % of the intervals hold its median."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        found = median_distance(random.exponential(size=25), "l2").interval
        held += found.low <= np.log(2) <= found.high
    assert 0.95 <= held / 2000 <= 0.985


def test_few_images_have_no_interval():
    assert median_distance(np.array([1.0, 2.0, 3.0]), "l2").interval is None
    assert median_distance(np.array([1.0, 2.0, 3.0]), "l2").note


def test_bad_input_is_one_sentence(tmp_path):
    target = target_of(VALUES)
    with pytest.raises(DataError, match="needs test images"):
        ToThePlane().run(WhiteBox(target), Splits(), context_of(tmp_path))
    wrong = Splits(non_members=ArrayImages(target.splits.non_members.images, np.ones(41, np.int64), "wrong"))
    with pytest.raises(DataError, match="None of the 41"):
        ToThePlane().run(WhiteBox(target), wrong, context_of(tmp_path))
