"""Overlays and warps: what they do, how large they get, and that they lead where they should."""

import numpy as np
import pytest
import torch

from assay.access import WhiteBox
from assay.base.progress import silent
from assay.methods.backdoor.inversion.feed import Feed
from assay.methods.backdoor.inversion.forms import Patch, PixelChange
from assay.methods.backdoor.inversion.growth import Overlay, Warp, grow
from methods.backdoor.models.toys import toy_target

SHAPE = (1, 8, 8)


def found(change, reach, labels, steps=12):
    target = toy_target()
    box = WhiteBox(target)
    images = target.splits.non_members.take(np.arange(24))
    feed = Feed(images, 8, torch.Generator().manual_seed(1))
    with silent().step("growing", steps) as bar:
        grown = grow(box, change, np.array(labels), feed, steps, reach, torch.Generator().manual_seed(0), bar)
    return box, images, grown


@pytest.mark.parametrize(("change", "reach"), [(Overlay(SHAPE), 0.2), (Warp(SHAPE), 1.5)])
def test_sizes_end_at_the_reach_and_losses_fall(change, reach):
    box, images, grown = found(change, reach, [0, 3])
    sizes = grown.variables.flatten(1).square().mean(1).sqrt()
    assert (sizes <= reach * (1 + 1e-5)).all()
    assert (sizes > 0.5 * reach).all()
    for arm, label in enumerate((0, 3)):
        wanted = torch.full((len(images),), label)
        before = torch.nn.functional.cross_entropy(box.logits(images), wanted)
        after = torch.nn.functional.cross_entropy(box.logits(change.apply(grown.variables, images)[arm]), wanted)
        assert after < before
    assert box.ledger.gradients == 2 * 12 * 8


def test_labels_do_not_influence_each_other():
    together = found(Overlay(SHAPE), 0.2, [0, 3])[2]
    alone = found(Overlay(SHAPE), 0.2, [3])[2]
    np.testing.assert_allclose(together.variables[1], alone.variables[0], atol=1e-4)
    assert together.loss[1] == pytest.approx(alone.loss[0], abs=1e-4)


def test_a_warp_moves_pixels_by_its_size():
    images = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    warp = Warp(SHAPE)
    np.testing.assert_allclose(warp.apply(torch.zeros(1, 2, 4, 4), images)[0], images, atol=1e-5)
    right = torch.zeros(1, 2, 4, 4)
    right[:, 0] = 1.0
    np.testing.assert_allclose(warp.apply(right, images)[0, ..., :-1], images[..., 1:], atol=1e-5)


def test_an_overlay_is_clipped():
    images = torch.full((1, *SHAPE), 0.9)
    assert (Overlay(SHAPE).apply(torch.full((1, *SHAPE), 0.3), images) == 1).all()


def test_a_patch_replaces_and_a_grid_makes_squares():
    images = torch.rand(2, 3, 5, 7)
    for grid in (1, 3):
        form = Patch((3, 5, 7), grid)
        variables = form.start(2, torch.Generator().manual_seed(0))
        mask = form.mask(variables)
        assert mask.shape == (2, 1, 5, 7)
        assert float(mask.min()) >= 0
        assert float(mask.max()) <= 1
        stamped = form.stamp(variables, images)
        pattern = torch.tanh(variables[1]) / 2 + 0.5
        expected = (1 - mask[1]) * images + mask[1] * pattern[1]
        np.testing.assert_allclose(stamped[1], expected, atol=1e-5)
        assert float(form.size(variables)[0]) == pytest.approx(float(mask[0].sum()), rel=1e-5)
    assert (mask[:, :, :3, :3] == mask[:, :, :1, :1]).all()


def test_pixel_changes_add_subtract_and_forget_what_is_invisible():
    form = PixelChange((2, 1, 2))
    added = torch.tensor([[[[0.5, 0.001]], [[0.0, -3.0]]]])
    subtracted = torch.tensor([[[[0.0, 0.0]], [[0.25, 0.002]]]])
    change = form.change((added, subtracted))
    np.testing.assert_allclose(change, [[[[0.5, 0.0]], [[-0.25, 0.0]]]])
    images = torch.full((1, 2, 1, 2), 0.8)
    np.testing.assert_allclose(form.stamp((added, subtracted), images)[0, 0, :, 0, 0], [1.0, 0.55])
    assert float(form.extent((added, subtracted), torch.zeros(1))[0]) == 1
    assert all(float(v.min()) >= 0 for v in form.tidied((added, subtracted)))
