"""What is usually done to training images: shapes, ranges, and what each changes."""

import pytest
import torch

from assay.methods.backdoor.models.handlings import FURTHER, MOVES, erased, mixed, pasted, recoloured

BY_NAME = {handling.name: handling for handling in (*MOVES, *FURTHER)}


def images(count=64, shape=(3, 12, 16)):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def seeded():
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("shape", [(3, 12, 16), (1, 9, 9)])
def test_images_stay_images_and_the_generator_decides(name, shape):
    before = images(shape=shape)
    kept = before.clone()
    after = BY_NAME[name].change(before, seeded())
    assert after.shape == before.shape
    assert after.dtype == torch.float32
    assert after.min() >= 0
    assert after.max() <= 1
    assert torch.equal(before, kept), "the images themselves are not touched"
    assert torch.equal(after, BY_NAME[name].change(before, seeded()))
    assert torch.equal(after, before) is (name == "as they are")


def test_squares_are_erased_of_half_the_side_where_they_fit():
    found = erased(torch.ones(2000, 1, 8, 8), seeded())
    black = (found == 0).sum((1, 2, 3))
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert black.max() == 16
    assert black.min() == 4, "a centre in the very corner leaves a quarter inside"
    assert (found.mean((0, 1)) < 1).all(), "every place is erased at times"


def test_colours_change_within_bounds():
    grey = torch.full((2000, 3, 4, 4), 0.5)
    means = recoloured(grey, seeded()).mean((1, 2, 3))
    assert means.min() == pytest.approx(0.3, abs=0.01)
    assert means.max() == pytest.approx(0.7, abs=0.01)
    stripes = torch.tensor([0.4, 0.6]).repeat(2000, 3, 4, 2)
    changed = recoloured(stripes, seeded())
    ratio = (changed[:, 0, 0, 1] - changed[:, 0, 0, 0]) / changed.mean((1, 2, 3)) / 0.4
    assert ratio.min() == pytest.approx(0.6, abs=0.01)
    assert ratio.max() == pytest.approx(1.4, abs=0.01)


@pytest.mark.parametrize(("alpha", "variance"), [(1.0, 1 / 12), (0.2, 1 / 5.6)])
def test_shares_of_mixed_images_have_the_beta_distribution(alpha, variance):
    pairs = torch.cat([torch.zeros(1000, 1, 1, 1), torch.ones(1000, 1, 1, 1)])
    found = mixed(alpha)(pairs, seeded())
    of_both = found[(found > 0) & (found < 1)]
    assert len(of_both) == pytest.approx(1000, abs=60)
    assert of_both.mean() == pytest.approx(0.5, abs=0.03)
    assert of_both.var() == pytest.approx(variance, rel=0.1)


def test_pasted_squares_are_of_another_image():
    each = torch.arange(100.0).div(100)[:, None, None, None].expand(-1, 1, 10, 10)
    found = pasted(each, seeded())
    for before, after in zip(each, found, strict=True):
        assert len(set(after.unique().tolist()) - {float(before[0, 0, 0])}) <= 1
    assert 0.1 < (found != each).float().mean() < 0.5
