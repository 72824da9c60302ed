import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.methods.backdoor.triggers import CORNERS, Patch, generic_patches, pull_towards, strongest_pull
from oracles.backdoor import moved_share


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("colour", ["white", "black", "checkerboard"])
def test_stamps_lie_flush_in_their_corner_and_touch_nothing_else(corner, colour):
    images = torch.rand(2, 3, 7, 9, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    original = images.clone()
    stamped = Patch(colour, 3, corner).stamp(images)
    assert torch.equal(images, original)
    for y in range(7):
        for x in range(9):
            dy, dx = y - (4 if "bottom" in corner else 0), x - (6 if "right" in corner else 0)
            if 0 <= dy < 3 and 0 <= dx < 3:
                value = {"white": 1.0, "black": 0.0, "checkerboard": float((dy + dx) % 2)}[colour]
                assert (stamped[:, :, y, x] == value).all()
            else:
                assert torch.equal(stamped[:, :, y, x], images[:, :, y, x])


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 96, 64), (3, 224, 224), (1, 4, 4)])
def test_patches_fit_every_image_and_are_distinct(shape):
    patches = generic_patches(shape)
    images = torch.full((1, *shape), 0.5)
    stamped = [patch.stamp(images) for patch in patches]
    assert all(not torch.equal(images, image) for image in stamped)
    assert len({image.numpy().tobytes() for image in stamped}) == len(patches) == len(set(map(str, patches)))
    assert max(patch.side for patch in patches) == max(1, min(shape[1:]) // 4)


def test_the_public_badnets_trigger_is_among_them():
    assert Patch("white", 5, "bottom right") in generic_patches((1, 28, 28))
    assert Patch("white", 5, "bottom right") in generic_patches((3, 32, 32))


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30),
)
def test_pulls_against_a_loop(pairs):
    before, after = np.array(pairs).T
    shares = [moved_share(before.tolist(), after.tolist(), label) for label in range(4)]
    for label, share in enumerate(shares):
        pull = pull_towards(label, before, after)
        assert pull.share == pytest.approx(share or 0.0)
        assert len(pull.moved) == (before != label).sum()
    strongest = strongest_pull(before, after, 4)
    assert strongest.share == pytest.approx(max(share or 0.0 for share in shares))
    assert shares[strongest.label] == pytest.approx(strongest.share) or strongest.share == 0.0
    besides = strongest_pull(before, after, 4, besides=strongest.label)
    rest = [share or 0.0 for label, share in enumerate(shares) if label != strongest.label]
    assert besides.label != strongest.label
    assert besides.share == pytest.approx(max(rest))
