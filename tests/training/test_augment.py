"""Turns, crops and policies: what they do to pixels, and that a seed decides them."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from assay.training import Recipe, fit
from assay.training.augment import auto_augmented, draw_warps, in_groups, warped

CPU = torch.device("cpu")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_turn_by_ninety_degrees_is_a_turn_of_the_array():
    image = torch.rand(1, 2, 9, 9)
    quarter = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    torch.testing.assert_close(warped(image, quarter), torch.rot90(image, 1, (2, 3)), atol=1e-5, rtol=0)


def test_turns_stay_within_their_angle_and_crops_within_the_image():
    warps = draw_warps(3_000, 30.0, 1.0, generator())
    angles = torch.rad2deg(torch.atan2(warps[:, 1, 0], warps[:, 0, 0]))
    assert angles.abs().max() <= 30
    assert angles.min() < -28
    assert angles.max() > 28
    assert not warps[:, :, 2].any(), "no shift without a crop"
    crops = draw_warps(3_000, 0.0, 0.25, generator())
    width, height = crops[:, 0, 0], crops[:, 1, 1]
    assert ((width + crops[:, 0, 2].abs()) <= 1 + 1e-6).all()
    assert ((height + crops[:, 1, 2].abs()) <= 1 + 1e-6).all()
    area, ratio = (width * height).numpy(), (width / height).log().numpy()
    assert 0.2 < area.min() < 0.3
    assert area.mean() == pytest.approx(0.61, abs=0.03)
    assert np.abs(ratio).max() <= math.log(4 / 3) + 1e-5
    assert np.abs(ratio).max() > 0.9 * math.log(4 / 3)


def test_a_crop_enlarges_a_part():
    """Of a ramp from left to right, a half as wide crop shows half of the range."""
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    left = torch.tensor([[[0.5, 0.0, -0.5], [0.0, 1.0, 0.0]]])
    found = warped(ramp, left)
    assert float(found.max()) == pytest.approx(0.5, abs=0.02)
    assert float(found.min()) == pytest.approx(0.0, abs=0.01)


def test_a_policy_is_drawn_for_each_group():
    seen = []
    in_groups(lambda group: seen.append(len(group)) or group)(torch.rand(20, 3, 4, 4))
    assert seen == [8, 8, 4]
    images = torch.rand(16, 3, 16, 16, generator=generator())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        one = auto_augmented(images)
        torch.manual_seed(1)
        assert torch.equal(one, auto_augmented(images))
    assert one.shape == images.shape
    assert not torch.equal(one, images)
    assert 0 <= float(one.min()) <= float(one.max()) <= 1


@pytest.mark.parametrize("option", [{"rotate": 20.0}, {"crop": 0.3}, {"auto_augment": True}])
def test_a_recipe_alters_images_by_the_seed(option):
    images, labels = torch.randint(0, 256, (24, 3, 12, 12), dtype=torch.uint8), torch.arange(24) % 3
    seen = []

    def spy(module, batch, targets):
        seen.append(batch.clone())
        logits = module(batch)
        return cross_entropy(logits, targets), logits

    for seed in (0, 0, 1):
        module = nn.Sequential(nn.Flatten(), nn.Linear(432, 3))
        fit(module, images, labels, Recipe(epochs=1, batch_size=24, **option), seed=seed, device=CPU, loss=spy)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    ordered = (images.float() / 255).flatten(1).sum(1).sort().values
    assert not torch.allclose(seen[0].flatten(1).sum(1).sort().values, ordered)
