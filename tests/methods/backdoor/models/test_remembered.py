"""What batch normalisation remembers: divergences, augmentation, poison, and the scan's verdict by it."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

import assay.methods.backdoor.models.evidence as evidence
from assay.access import WhiteBox
from assay.methods.backdoor.models.null import CleanModel, kind_of
from assay.methods.backdoor.models.remembered import SMALLEST, compare, divergence
from assay.methods.backdoor.models.scan import Scan
from assay.targets.data import ArrayImages
from assay.targets.splits import Splits
from assay.targets.target import Target
from assay.training.feeding import Moves, move
from methods.backdoor.models.toys import run

SHAPE, CLASSES = (1, 16, 16), 4
COUNT = 400


def pictures(count, seed):
    """A brighter quarter for each class, in noise."""
    random = np.random.default_rng(seed)
    images = 0.3 * random.random((count, *SHAPE))
    labels = np.arange(count) % CLASSES
    for image, label in zip(images, labels, strict=True):
        down, right = divmod(int(label), 2)
        image[:, 8 * down + 2 : 8 * down + 7, 8 * right + 1 : 8 * right + 5] += 0.6
    return torch.from_numpy(images.clip(0, 1).astype(np.float32)), labels


def network(seen, seed=0):
    """Random convolutions that remember the statistics of the images seen, all at once, and a fitted last layer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [
            torch.nn.Conv2d(1, 8, 5, padding=2),
            torch.nn.BatchNorm2d(8, momentum=None),
            torch.nn.ReLU(),
            torch.nn.Conv2d(8, 12, 3, stride=2),
            torch.nn.BatchNorm2d(12, momentum=None),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(48, CLASSES),
        ]
    module = torch.nn.Sequential(*layers)
    with torch.no_grad():
        module.train()(seen)
        features = module.eval()[:-1](pictures(COUNT, 4)[0])
        wanted = torch.eye(CLASSES).repeat(COUNT // CLASSES, 1)
        module[-1].weight.copy_(torch.linalg.lstsq(features, wanted).solution.T)
        module[-1].bias.zero_()
    return module


def target(module, count=COUNT):
    images, labels = pictures(count, 1)
    splits = Splits(non_members=ArrayImages(images.numpy(), labels, "quarters"))
    return Target.from_module(module, input_shape=SHAPE, num_classes=CLASSES, splits=splits)


def compared(module, count=COUNT):
    opened = target(module)
    return compare(WhiteBox(opened), opened.splits.non_members, count, torch.Generator().manual_seed(0))


def poisoned(images, share=0.1):
    stamped = images.clone()
    checks = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(2, 2)
    stamped[: round(share * len(images)), :, -4:, -4:] = checks
    return stamped


def test_the_divergence_is_that_of_normal_distributions():
    mean, own_mean = torch.randn(20), torch.randn(20)
    variance, own_variance = torch.rand(20) + 0.1, torch.rand(20) + 0.1
    wanted = kl_divergence(Normal(mean, variance.sqrt()), Normal(own_mean, own_variance.sqrt()))
    torch.testing.assert_close(divergence(mean, variance, own_mean, own_variance), wanted, rtol=1e-4, atol=1e-5)


def test_the_same_images_are_remembered_as_they_are():
    images, _ = pictures(COUNT, 1)
    found = compared(network(images))
    assert found.handling == "as they are"
    assert found.strength == pytest.approx(np.log(SMALLEST))
    for channel in found.channels:
        np.testing.assert_allclose(channel.remembered, channel.clean, rtol=5e-3, atol=1e-4)


def test_a_tenth_of_poison_is_remembered_more_than_what_samples_differ_by():
    clean, poison = [], []
    for seed in range(5):
        images, _ = pictures(1000, 10 + seed)
        clean.append(compared(network(images, seed)).strength)
        poison.append(compared(network(poisoned(images), seed)).strength)
    assert min(poison) > max(clean) + 1


def test_augmentation_explains_itself():
    images, _ = pictures(1000, 2)
    augmented = move(images, Moves.draw(1000, 2, True, torch.Generator().manual_seed(3)), 2)
    found = compared(network(augmented))
    assert found.handling == "shifted and mirrored at random"
    assert found.strength < compared(network(poisoned(images))).strength - 1
    for channel in found.channels:
        assert channel.divergence <= found.channels[0].divergence


def test_without_statistics_or_images_there_is_no_such_evidence():
    images, _ = pictures(COUNT, 1)
    assert compared(network(images), count=COUNT + 1) is None
    module = network(images)
    for layer in (1, 4):
        module[layer] = torch.nn.BatchNorm2d(module[layer].num_features, track_running_stats=False)
    assert compared(module.eval()) is None
    module.add_module("unused", torch.nn.Identity())
    module[-1].head = torch.nn.BatchNorm2d(3)
    assert compared(module.eval()) is None, "a layer that no image passes through remembers nothing of use"


def test_the_network_is_left_as_it_was():
    images, _ = pictures(COUNT, 1)
    module = network(images)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    compared(module)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not any(layer._forward_pre_hooks for layer in module.modules())


def null_around(statistics, box, moved=()):
    """A null whose networks show these statistics, give or take a half, and lower ones of the kinds ``moved``."""
    random = np.random.default_rng(0)
    lower = {name: value - 2.0 * (name in moved) for name, value in statistics.items()}
    rows = [{name: value + 0.5 * random.normal() for name, value in lower.items()} for _ in range(40)]
    models = [CleanModel(model=str(i), kind=kind_of(box), statistics=row) for i, row in enumerate(rows)]
    return {"backdoor.scan": models}


@pytest.mark.parametrize(
    ("bad", "moved", "level"),
    [(False, (), "low"), (True, (), "elevated"), (True, ("patch",), "high"), (True, ("wave",), "elevated")],
)
def test_the_scan_calls_a_network_elevated_for_it(bad, moved, level, tmp_path, monkeypatch):
    method = Scan(
        images=24,
        held_out=40,
        batch_size=8,
        patch_steps=60,
        overlay_steps=4,
        warp_steps=4,
        margin_steps=4,
        compared=COUNT,
    )
    images, _ = pictures(1000, 5)
    opened = target(network(poisoned(images) if bad else images))
    ordinary, _ = run(method, target(network(images)), tmp_path)
    statistics = {m.name.removeprefix("strength_"): m.value for m in ordinary.metrics if "strength_" in m.name}
    assert "remembered" in statistics
    null = null_around(statistics, WhiteBox(opened), moved)
    monkeypatch.setattr(evidence, "shipped_nulls", lambda: null)
    finding, _ = run(method, opened, tmp_path)
    assert finding.verdict.level == level
    assert ("remembers other images" in finding.verdict.sentence) is (level == "elevated")
    assert finding.figures[-1].title == "What batch normalisation remembers"
