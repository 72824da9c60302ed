"""What evasion attacks say to input that makes no sense: one sentence, or a verdict that claims nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from assay.access import Oracle, PosteriorStore, Published, Serving, WhiteBox
from assay.base.errors import DataError, UsageError
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.check import check_finding
from assay.methods.evasion.apgd import Apgd
from assay.methods.evasion.autoattack import AutoAttack
from assay.methods.evasion.bases import Bases
from assay.methods.evasion.ddn import Ddn
from assay.methods.evasion.deepfool import DeepFool
from assay.methods.evasion.fmn import Fmn
from assay.methods.evasion.rays import RayS
from assay.methods.evasion.square import Square
from assay.methods.evasion.surfree import SurFree
from assay.targets.target import Target
from methods.evasion.small import CLASSES, SHAPE, context_of, network, pictures, target_of

WHITE = {
    "apgd l1": Apgd(norm="l1", steps=5, epsilons=(1.0,)),
    "autoattack": AutoAttack(attacks=("apgd-dlr", "square"), steps=5, queries=20, epsilons=(0.03,)),
    "ddn": Ddn(steps=5),
    "deepfool": DeepFool(steps=5),
    "fmn": Fmn(steps=5),
    "fmn l1": Fmn(norm="l1", steps=5),
}
ASKING = {
    "bases": Bases(max_queries=10, steps=2),
    "rays": RayS(max_queries=20),
    "square l1": Square(norm="l1", max_queries=10),
    "surfree": SurFree(max_queries=20),
}
METHODS = {**WHITE, **ASKING}


def run(name, target, folder):
    surrogate = Published(Target.from_module(network(9), input_shape=SHAPE, num_classes=CLASSES))
    context, method = context_of(folder, companions={"public network 1": surrogate}), METHODS[name]
    if name in WHITE:
        return check_finding(method.run(WhiteBox(target), target.splits, context), method.name, folder)
    oracle = Oracle(target, Serving(), PosteriorStore(folder / "store", target.num_classes))
    return check_finding(method.run(oracle, target.splits, context), method.name, folder)


@pytest.mark.parametrize("name", METHODS)
def test_no_correctly_classified_image(name, tmp_path):
    with pytest.raises(
        DataError, match="None of the 30 test images is classified correctly; there is nothing to evade"
    ):
        run(name, target_of(network(2), count=30, wrong=30), tmp_path)


@pytest.mark.parametrize("name", METHODS)
def test_no_test_images(name, tmp_path):
    target = target_of(network(2)).with_splits(Splits())
    with pytest.raises(DataError, match="needs test images"):
        run(name, target, tmp_path)


@pytest.mark.parametrize("name", METHODS)
def test_a_network_that_always_answers_the_same_is_not_cleared(name, tmp_path):
    """One class alone: nothing can be evaded, no gradient leads anywhere, and no robustness is shown."""

    class Constant(torch.nn.Module):
        def forward(self, images):
            return 0 * images.flatten(1).sum(dim=1, keepdim=True) + torch.tensor([3.0, 0.0, 0.0])

    images = pictures(30)
    splits = Splits(non_members=ArrayImages(images.numpy(), np.zeros(30, np.int64), "pictures"))
    finding = run(name, Target.from_module(Constant(), input_shape=SHAPE, num_classes=CLASSES, splits=splits), tmp_path)
    assert finding.verdict.level == "undecided"


@pytest.mark.parametrize("name", METHODS)
def test_a_target_that_answers_at_random_is_not_cleared(name, tmp_path):
    class Random(torch.nn.Module):
        def forward(self, images):
            return 0 * images.flatten(1).sum(dim=1, keepdim=True) + torch.randn(len(images), CLASSES)

    torch.manual_seed(0)
    images = pictures(60)
    splits = Splits(non_members=ArrayImages(images.numpy(), np.arange(60) % CLASSES, "pictures"))
    finding = run(name, Target.from_module(Random(), input_shape=SHAPE, num_classes=CLASSES, splits=splits), tmp_path)
    assert finding.verdict.level != "low"


def test_images_outside_the_range_are_refused():
    with pytest.raises(DataError, match=r"\[0, 1\]|0 to 1|between 0 and 1"):
        ArrayImages(2 * pictures(5).numpy() + 1, np.zeros(5, np.int64), "pictures")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Bases, {"epsilon": 0.0}),
        (RayS, {"epsilon": 0.0}),
        (SurFree, {"epsilon": 0.0}),
        (Square, {"epsilon": 0.0, "norm": "l1"}),
        (Apgd, {"epsilons": (0.0,), "norm": "l1"}),
        (AutoAttack, {"epsilons": (0.0,), "norm": "l1"}),
    ],
)
def test_an_epsilon_of_0_is_refused(kind, options):
    with pytest.raises(ValidationError, match=r"greater than 0|not above 0"):
        kind(**options)


def test_an_epsilon_beyond_all_images_is_refused(tmp_path):
    target = target_of(network())
    with pytest.raises(UsageError, match="how far two images can be apart"):
        Apgd(norm="l1", epsilons=(41.0,)).run(WhiteBox(target), target.splits, context_of(tmp_path))
