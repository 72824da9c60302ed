"""What is usually done to training images: shapes, ranges, and what each changes."""

import pytest
import torch

from assay.methods.backdoor.models.augmentations import (
    ANGLE,
    CROPPED,
    FURTHER,
    MIRRORED,
    TINT,
    blended,
    blurred,
    colour_jitter,
    cropped,
    cutmix,
    erased,
    gamma_changed,
    mixup,
    noisy,
    rotated,
    shifts,
    tinted,
)

BY_NAME = {augmentation.name: augmentation for augmentation in (*shifts(9), MIRRORED, *FURTHER)}


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


def test_shifts_are_of_whole_pixels_each_once():
    assert [shift.name for shift in shifts(32)[:3]] == [
        "as they are",
        "shifted by up to 1 pixel",
        "shifted by up to 2 pixels",
    ]
    assert [len(shifts(side)) for side in (8, 28, 32, 224)] == [3, 6, 7, 7]
    dot = torch.zeros(500, 1, 16, 16)
    dot[:, :, 8, 8] = 1
    rows, columns = shifts(16)[-1].change(dot, seeded()).sum((0, 1)).nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 11, 5, 11)


def test_every_second_image_is_mirrored():
    before = images(1000)
    after = MIRRORED.change(before, seeded())
    flipped = (after == before.flip(3)).all((1, 2, 3))
    assert 0.45 < flipped.float().mean() < 0.55
    assert torch.equal(after[~flipped], before[~flipped])


def test_squares_are_erased_of_half_the_side_where_they_fit():
    found = erased(0.5, "black")(torch.ones(2000, 1, 8, 8), seeded())
    black = (found == 0).sum((1, 2, 3))
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert black.max() == 16
    assert black.min() == 4, "a centre in the very corner leaves a quarter inside"
    assert (found.mean((0, 1)) < 1).all(), "every place is erased at times"


def test_squares_are_filled_with_the_mean_colour_or_noise():
    before = torch.tensor([0.2, 0.6])[:, None, None, None].repeat(500, 3, 8, 8)
    plain = erased(0.5, "colour")(before, seeded())
    torch.testing.assert_close(plain[plain != before], torch.full_like(plain[plain != before], 0.4))
    noise = erased(0.5, "noise")(before, seeded())
    assert ((noise != before) == (plain != before)).all()
    inside = noise[noise != before]
    assert inside.mean() == pytest.approx(0.5, abs=0.01)
    assert inside.var() == pytest.approx(1 / 12, rel=0.05)


def test_colours_change_within_bounds():
    grey = torch.full((2000, 3, 4, 4), 0.5)
    means = colour_jitter(grey, seeded()).mean((1, 2, 3))
    assert means.min() == pytest.approx(0.3, abs=0.01)
    assert means.max() == pytest.approx(0.7, abs=0.01)
    stripes = torch.tensor([0.4, 0.6]).repeat(2000, 3, 4, 2)
    changed = colour_jitter(stripes, seeded())
    ratio = (changed[:, 0, 0, 1] - changed[:, 0, 0, 0]) / changed.mean((1, 2, 3)) / 0.4
    assert ratio.min() == pytest.approx(0.6, abs=0.01)
    assert ratio.max() == pytest.approx(1.4, abs=0.01)
    reddish = torch.tensor([0.6, 0.5, 0.4])[:, None, None].expand(2000, 3, 4, 4)
    changed = colour_jitter(reddish, seeded())
    ratio = (changed[:, 0] - changed[:, 2]).mean((1, 2)) / changed.mean((1, 2, 3)) / 0.4
    assert 0.36 - 0.02 < ratio.min() < 0.45
    assert 1.7 < ratio.max() < 1.96 + 0.02


def test_gamma_is_the_same_for_all_of_an_image():
    before = torch.tensor([0.2, 0.5]).repeat(1000, 1, 4, 2)
    powers = gamma_changed(before, seeded()).log() / before.log()
    assert torch.allclose(powers, powers[:, :, :1, :1], atol=1e-5)
    assert powers.min() == pytest.approx(0.607, abs=0.01)
    assert powers.max() == pytest.approx(1.649, abs=0.01)


def test_every_channel_is_tinted_for_itself():
    factors = tinted(torch.full((1000, 3, 2, 2), 0.5), seeded()) / 0.5
    assert factors.min() == pytest.approx(1 - TINT, abs=0.01)
    assert factors.max() == pytest.approx(1 + TINT, abs=0.01)
    assert torch.corrcoef(factors[:, :, 0, 0].T).tril(-1).abs().max() < 0.15
    assert torch.equal(factors, factors[:, :, :1, :1].expand_as(factors))


def test_a_tenth_of_another_image_is_laid_over():
    before = torch.cat([torch.zeros(50, 1, 2, 2), torch.ones(50, 1, 2, 2)])
    found = blended(before, seeded())
    torch.testing.assert_close(found.unique(), torch.tensor([0.0, 0.1, 0.9, 1.0]))


def test_noise_and_blur():
    grey = torch.full((50, 3, 16, 16), 0.5)
    assert noisy(grey, seeded()).std() == pytest.approx(0.1, rel=0.05)
    torch.testing.assert_close(blurred(grey, seeded()), grey)
    dot = torch.zeros(1, 1, 5, 5)
    dot[:, :, 2, 2] = 0.9
    assert (blurred(dot, seeded()) - 0.1).abs().lt(1e-6).sum() == 9


def test_rotations_turn_about_the_middle_as_far_as_they_should():
    bar = torch.zeros(1000, 1, 33, 33)
    bar[:, :, 16, 16:] = 1
    found = rotated(bar, seeded())
    ends = found[:, 0, :, 28].argmax(1) - 16
    furthest = 12 * torch.tan(torch.tensor(ANGLE))
    assert ends.min() == pytest.approx(-furthest, abs=1)
    assert ends.max() == pytest.approx(furthest, abs=1)
    assert (found[:, 0, 16, 16] > 0.4).all()


def test_crops_lie_within_the_image():
    ramp = torch.linspace(0.1, 0.9, 32).expand(1000, 1, 32, 32)
    found = cropped(ramp, seeded())
    assert found[:, :, 1:-1, 1:-1].min() >= 0.1 - 1e-6
    slopes = (found[:, 0, 16, 24] - found[:, 0, 16, 8]) / (ramp[0, 0, 16, 24] - ramp[0, 0, 16, 8])
    assert slopes.min() == pytest.approx(CROPPED, abs=0.01)
    assert slopes.max() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("alpha", "variance"), [(1.0, 1 / 12), (0.2, 1 / 5.6)])
def test_shares_of_mixed_images_have_the_beta_distribution(alpha, variance):
    pairs = torch.cat([torch.zeros(1000, 1, 1, 1), torch.ones(1000, 1, 1, 1)])
    found = mixup(alpha)(pairs, seeded())
    of_both = found[(found > 0) & (found < 1)]
    assert len(of_both) == pytest.approx(1000, abs=60)
    assert of_both.mean() == pytest.approx(0.5, abs=0.03)
    assert of_both.var() == pytest.approx(variance, rel=0.1)


def test_pasted_squares_are_of_another_image():
    each = torch.arange(100.0).div(100)[:, None, None, None].expand(-1, 1, 10, 10)
    found = cutmix(each, seeded())
    for before, after in zip(each, found, strict=True):
        assert len(set(after.unique().tolist()) - {float(before[0, 0, 0])}) <= 1
    assert 0.1 < (found != each).float().mean() < 0.5
