"""No attack calls a network hard to fool that only hides its gradients; none suspects one that does not."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from assay.access import WhiteBox
from assay.methods.check import check_finding
from assay.methods.evasion.apgd import Apgd
from assay.methods.evasion.autoattack import AutoAttack
from assay.methods.evasion.averaging import Averaged, varying
from assay.methods.evasion.fab import Fab
from assay.methods.evasion.fgsm import Fgsm
from assay.methods.evasion.masking import Checks, earned, signs, what_decides
from assay.methods.evasion.pgd import Pgd
from assay.methods.finding import Verdict
from assay.targets.reference import load_target
from assay.targets.target import Target
from methods.evasion.masked import MASKS
from methods.evasion.small import context_of

QUICK = AutoAttack.presets["quick"]


@functools.cache
def plain(name="starter/digits-cnn"):
    return load_target(name)


def masked(mask):
    inner = plain()
    module = MASKS[mask](inner.module)
    return Target.from_module(module, input_shape=inner.input_shape, num_classes=10, splits=inner.splits)


def found(method, target, folder):
    torch.manual_seed(0)
    return check_finding(method.run(WhiteBox(target), target.splits, context_of(folder)), method.name, folder)


METHODS = {
    "fgsm": Fgsm(max_images=60, epsilons=(0.1,)),
    "pgd": Pgd(max_images=60, epsilons=(0.1,)),
    "pgd on cross-entropy": Pgd(max_images=60, epsilons=(0.1,), loss="cross-entropy"),
    "apgd": Apgd(max_images=60, epsilons=(0.1,), steps=20),
    "autoattack, quick": AutoAttack(**{**QUICK, "max_images": 60}),
    "autoattack": AutoAttack(max_images=30, steps=10, targets=2, fab_steps=5, queries=100),
    "fab": Fab(max_images=30, steps=5, targets=2, norm="linf"),
}


def test_the_network_inside_is_easy_to_fool(tmp_path):
    assert found(METHODS["apgd"], plain(), tmp_path).metric("success_at_0.1").value > 0.4


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("method", METHODS)
def test_a_masked_network_is_never_low(mask, method, tmp_path):
    finding = found(METHODS[method], masked(mask), tmp_path)
    assert finding.metric("clean_accuracy").value > 0.5
    assert finding.verdict.level != "low"
    if finding.verdict.level == "undecided":
        assert "no robustness shown" in finding.verdict.sentence
        assert "would decide" in finding.verdict.sentence
        assert not finding.verdict.weak


HONEST = {
    "starter/digits-cnn": 0.004,
    "starter/digits-mlp": 0.004,
    "starter/digits-cnn-int8": 0.004,
}


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", HONEST)
def test_a_network_that_withstands_honestly_is_low(name, norm, tmp_path):
    """At a size at which hardly any image falls to any attack."""
    epsilon = HONEST[name] * (1 if norm == "linf" else 8)
    finding = found(AutoAttack(**{**QUICK, "norm": norm, "epsilons": (epsilon,)}), plain(name), tmp_path)
    assert finding.verdict.level == "low", finding.verdict.sentence
    assert not finding.verdict.weak
    assert finding.metric("check_unbounded").value >= 0.95


PUBLIC = {
    "locuslab/mnist-small": 0.05,
    "locuslab/fashion-mnist-small": 0.02,
    "locuslab/cifar10-l2-small": 1 / 255,
    "abcrown/cifar10-cnn-a-adv": 0.5 / 255,
    "abcrown/cifar10-resnet2b": 0.5 / 255,
    "abcrown/cifar10-resnet4b": 0.5 / 255,
    "abcrown/mnist-cnn-a-adv": 0.1,
    "abcrown/cifar10-oval-wide": 0.5 / 255,
    "hyperparticle/cifar10-lenet": 0.1 / 255,
    "yizeng623/cifar10-cnn6": 0.1 / 255,
}
"""Public networks, robust and plain, and a size at which little falls, so that signs are looked for."""


@pytest.mark.data
@pytest.mark.parametrize("name", PUBLIC)
def test_no_sign_stands_against_an_honest_public_network(name, tmp_path):
    finding = found(AutoAttack(**{**QUICK, "epsilons": (PUBLIC[name],)}), load_target(name), tmp_path)
    assert finding.metric("check_unbounded").value == 1.0
    assert "no robustness shown" not in finding.verdict.sentence


@pytest.mark.parametrize("method", ["fgsm", "pgd", "apgd"])
def test_a_weaker_attack_that_finds_little_leaves_it_open(method, tmp_path):
    finding = found(METHODS[method].model_copy(update={"epsilons": (0.004,)}), plain(), tmp_path)
    assert finding.verdict.level == "undecided"
    assert finding.verdict.weak
    assert "evasion.autoattack would decide" in finding.verdict.sentence


def test_review_item_1_logits_times_1000(tmp_path):
    """Labels stay as they are; FGSM is blind and says so, the default PGD is not blind."""
    target = masked("logits x 1,000")
    blind = found(METHODS["fgsm"], target, tmp_path)
    assert blind.metric("success_at_0.1").value < 0.05
    assert blind.verdict.level == "undecided"
    assert "APGD fools" in blind.verdict.sentence
    assert "the gradient vanishes" in blind.verdict.sentence
    seeing = found(METHODS["pgd"], target, tmp_path)
    assert (
        seeing.metric("success_at_0.1").value == found(METHODS["pgd"], plain(), tmp_path).metric("success_at_0.1").value
    )


def some(share, count=50):
    return np.arange(count) < round(share * count)


@pytest.mark.parametrize(
    ("checks", "name"),
    [
        (Checks(vanished=some(0.1)), "vanished"),
        (Checks(varying=some(0.1)), "varying"),
        (Checks(unbounded=some(0.9)), "unbounded"),
        (Checks(stronger=some(0.1)), "stronger"),
        (Checks(black_box=some(0.1)), "black_box"),
        (Checks(beaten_by_noise=some(0.02, 200)), "beaten_by_noise"),
    ],
)
def test_each_sign_is_named(checks, name):
    against = signs(checks)
    assert [sign.name for sign in against] == [name]
    low = Verdict(level="low", metric="success", sentence="Little.")
    judged = earned(low, against, decides=True, decider=what_decides(against, ensemble=True))
    assert judged.level == "undecided"
    assert against[0].words in judged.sentence


def test_what_is_no_sign():
    quiet = Checks(some(0.0), some(0.0), some(0.96), some(0.02), some(0.04), some(0.005, 1000))
    assert signs(quiet) == signs(Checks()) == []
    low = Verdict(level="low", metric="success", sentence="Little.")
    assert earned(low, [], decides=True, decider="x") == low
    high = Verdict(level="high", metric="success", sentence="Much.")
    assert earned(high, signs(Checks(vanished=some(1.0))), decides=False, decider="x") == high


def test_answers_that_vary_are_noticed_and_averaged():
    box = WhiteBox(masked("dropout left on"))
    images = plain().splits.non_members.take(np.arange(20))
    assert varying(box, images).float().mean() > 0.9
    assert not varying(WhiteBox(plain()), images).any()
    steady = Averaged(box, draws=20)
    spread = [torch.stack([each.logits(images) for _ in range(5)]).std(dim=0).mean() for each in (box, steady)]
    assert spread[1] < 0.4 * spread[0]
    before = box.ledger.gradients
    steady.gradient(images, lambda logits: logits[:, 0])
    assert box.ledger.gradients - before == 20 * 20
