"""Every detector on networks whose backdoor is known, and on what is no use to it."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from assay.access import WhiteBox
from assay.base.errors import AccessError, DataError, UsageError
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.backdoor.models.k_arm import KArm
from assay.methods.backdoor.models.mm_bd import MmBd
from assay.methods.backdoor.models.neural_cleanse import NeuralCleanse
from assay.methods.backdoor.models.pixel import Pixel
from assay.methods.backdoor.models.scan import Scan
from assay.targets.target import Target
from methods.backdoor.models.toys import TARGET, context_of, run, target_of, toy_target

INVERSIONS = [
    NeuralCleanse(images=24, rounds=40, batches=2, batch_size=12, patience=3),
    NeuralCleanse(images=24, rounds=40, batches=2, batch_size=12, patience=3, grid=2),
    KArm(images=24, rounds=60, finish=40, controls=4, batch_size=12, patience=3, success=0.9),
    Pixel(images=24, rounds=80, batch_size=12, patience=5, success=0.9),
]
SCAN = Scan(images=24, held_out=40, batch_size=8, patch_steps=60, overlay_steps=8, warp_steps=8, margin_steps=10)
ALL = [*INVERSIONS[::2], INVERSIONS[3], MmBd(starts=2, steps=10), SCAN]


def smallest(finding):
    samples = finding.samples
    if "strength_patch" in samples.columns:
        return int(samples["row"][np.nanargmax(samples["strength_patch"])])
    return int(samples["row"][samples["size"].argmin()])


@pytest.mark.parametrize("method", [*INVERSIONS, SCAN])
def test_the_planted_label_has_the_smallest_trigger(method, tmp_path):
    finding, box = run(method, toy_target(), tmp_path)
    assert smallest(finding) == TARGET
    assert finding.metric("trigger_success").interval.low > 0.5
    assert finding.metric("gradients").value == box.ledger.gradients
    gallery = finding.figures[0]
    assert all((tmp_path / file).exists() for row in gallery.files for file in row)
    assert all(len(row) == len(gallery.columns) for row in gallery.files)


def test_without_the_backdoor_no_label_is_as_small(tmp_path):
    ratios = {}
    for backdoor in (True, False):
        finding, _ = run(INVERSIONS[0], toy_target(backdoor=backdoor), tmp_path)
        ratios[backdoor] = finding.metric("size_ratio").value
    assert ratios[True] > 1.5 * ratios[False]


@pytest.mark.parametrize(("classes", "shape"), [(2, (1, 8, 8)), (3, (3, 6, 8)), (2, (3, 8, 8))])
def test_few_labels_and_other_channels(classes, shape, tmp_path):
    target = toy_target(classes, shape)
    for method in (INVERSIONS[3], SCAN):
        finding, _ = run(method, target, tmp_path)
        assert smallest(finding) == TARGET
        assert finding.verdict.level == "undecided"
        assert all(np.isfinite(m.value) for m in finding.metrics if m.value is not None)
    finding, _ = run(MmBd(starts=2, steps=10), target, tmp_path)
    assert finding.metric("gamma_p_value").value is None
    assert finding.verdict.level == "undecided"
    assert "are no null for one of them" in finding.verdict.sentence


def test_labels_of_the_clean_images_do_not_matter(tmp_path):
    target = toy_target()
    shuffled = toy_target()
    shuffled.splits.non_members.labels[:] = 0
    for method in (INVERSIONS[0], SCAN.model_copy(update={"patch_steps": 5})):
        assert run(method, target, tmp_path)[0].metrics == run(method, shuffled, tmp_path)[0].metrics


@pytest.mark.parametrize("method", [INVERSIONS[0], INVERSIONS[2], INVERSIONS[3], SCAN])
def test_too_few_images_or_one_class_are_refused(method, tmp_path):
    with pytest.raises(DataError, match="at least 20 clean images, and there are 12"):
        run(method, toy_target(count=12), tmp_path)
    target = toy_target()
    with pytest.raises(DataError, match="needs clean images"):
        method.run(WhiteBox(target), Splits(), context_of(tmp_path))
    images = target.splits.non_members
    images.images[:] = images.images[:1] + np.linspace(0, 1e-3, len(images.images))[:, None, None, None].astype("f4")
    with pytest.raises(DataError, match="by one label"):
        run(method, target, tmp_path)


class Deaf(torch.nn.Module):
    def forward(self, images):
        return torch.arange(6.0).expand(len(images), -1) + 0 * images.flatten(1).sum(1, keepdim=True)


class Rounded(torch.nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :6].mul(9).round() + 0 * images.flatten(1).sum(1, keepdim=True)


class Undefined(torch.nn.Module):
    def forward(self, images):
        flat = images.flatten(1)
        return flat[:, :6] + (flat[:, :1] - flat[:, :1]).sqrt()


@pytest.mark.parametrize(
    ("module", "words"), [(Deaf(), "do not depend|vanish"), (Rounded(), "vanish"), (Undefined(), "not finite")]
)
@pytest.mark.parametrize("method", ALL)
def test_networks_without_usable_gradients_are_refused(method, module, words, tmp_path):
    with pytest.raises(AccessError, match=words):
        run(method, target_of(module), tmp_path)


def linear(classes, shape=(1, 4, 4)):
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(int(np.prod(shape)), classes))
    images = np.random.default_rng(0).random((40, *shape)).astype(np.float32)
    splits = Splits(non_members=ArrayImages(images, np.zeros(40, dtype=int), "noise"))
    return Target.from_module(module, input_shape=shape, num_classes=classes, splits=splits)


def test_many_labels_need_a_time_limit_that_is_enough(tmp_path):
    for method in (NeuralCleanse(), NeuralCleanse(time_limit=1e-3)):
        with pytest.raises(UsageError, match=r"backdoor\.scan"):
            run(method, linear(1000), tmp_path)
    quick = NeuralCleanse(rounds=1, batches=1, batch_size=2, time_limit=600)
    assert len(run(quick, linear(150), tmp_path)[0].samples["row"]) == 150


def test_the_scan_costs_at_most_45_000_gradients_and_grows_more_slowly_than_the_labels(tmp_path):
    spent = {}
    for classes in (10, 43, 200):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            spent[classes] = run(Scan(), linear(classes), tmp_path)[1].ledger.gradients
    assert spent[10] <= 45_000
    per_label = [spent[classes] / classes for classes in spent]
    assert all(more > 1.5 * fewer for more, fewer in pairwise(per_label))


def test_unfinished_arms_are_left_out_of_the_comparison(tmp_path):
    method = KArm(images=24, rounds=5, warm_rounds=4, finish=25, controls=3, batch_size=12, patience=3)
    finding, _ = run(method, toy_target(classes=10), tmp_path)
    assert 3 <= len(finding.samples["row"]) <= 4
    assert (finding.samples["rounds"] >= 8).all()
