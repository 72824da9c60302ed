import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.base.errors import DataError
from assay.data.images import ArrayImages, Fitted, Subset
from assay.training import feeding
from assay.training.feeding import Feed, Moves, gather, move
from oracles.training import moved

CPU = torch.device("cpu")


def make(n=6, c=1, h=5, w=5, seed=0):
    rng = np.random.default_rng(seed)
    return ArrayImages(rng.integers(0, 256, (n, c, h, w), dtype=np.uint8), rng.integers(0, 3, n), "random")


@settings(max_examples=40, deadline=None)
@given(
    c=st.integers(1, 3),
    h=st.integers(1, 6),
    w=st.integers(1, 6),
    shift=st.integers(0, 3),
    flip=st.booleans(),
    seed=st.integers(0, 99),
)
def test_images_move_as_the_slow_reference_moves_them(c, h, w, shift, flip, seed):
    images = torch.from_numpy(make(5, c, h, w, seed).images)
    moves = Moves.draw(5, shift, flip, torch.Generator().manual_seed(seed))
    fast = move(images, moves, shift)
    for k in range(5):
        down, right = moves.offsets[k].tolist()
        assert np.array_equal(fast[k].numpy(), moved(images[k].numpy(), down, right, bool(moves.mirror[k]), shift))


def test_moves_are_uniform_and_stay_in_range():
    moves = Moves.draw(9000, 1, True, torch.Generator().manual_seed(0))
    counts = torch.bincount(moves.offsets[:, 0] * 3 + moves.offsets[:, 1], minlength=9)
    assert len(counts) == 9
    assert (counts.float() / 1000 - 1).abs().max() < 0.12
    assert abs(float(moves.mirror.float().mean()) - 0.5) < 0.03
    still = Moves.draw(50, 0, False, torch.Generator().manual_seed(0))
    assert not still.mirror.any()
    assert not still.offsets.any()


def test_a_set_is_kept_as_bytes_only_where_nothing_is_lost():
    images = make()
    held = gather(Subset(images, [4, 0, 2]), chunk=2)
    assert held.dtype == torch.uint8
    assert np.array_equal(held.numpy(), images.images[[4, 0, 2]])
    resized = Fitted(images, (3, 7, 7))
    smooth = gather(resized, chunk=4)
    assert smooth.dtype == torch.float32
    assert torch.equal(smooth, resized.take(np.arange(6)))


def test_sets_tensors_bytes_and_streams_give_the_same_pixels(monkeypatch):
    images = make()
    labels = torch.from_numpy(images.labels)
    rows = torch.tensor([3, 1, 5])
    wanted = images.take(rows.numpy())
    whole = torch.from_numpy(images.images)
    feeds = [Feed(source, labels, CPU) for source in (images, whole, whole.float() / 255)]
    monkeypatch.setattr(feeding, "RESIDENT_BYTES", 10)
    feeds.append(Feed(images, labels, CPU))
    moves = Moves.draw(3, 1, True, torch.Generator().manual_seed(1))
    for feed in feeds:
        assert torch.equal(feed.take(rows), wanted)
        assert torch.equal(feed.take(rows, moves, 1), move(wanted, moves, 1))


@pytest.mark.parametrize(
    ("images", "targets", "part"),
    [
        (torch.zeros(0, 1, 2, 2), torch.zeros(0, dtype=torch.int64), "no images"),
        (torch.zeros(3, 1, 2, 2), torch.zeros(2, dtype=torch.int64), "3 images to train on, but 2 targets"),
        (torch.zeros(3, 2, 2), torch.zeros(3, dtype=torch.int64), "channels, height, width"),
        (torch.full((3, 1, 2, 2), 7.0), torch.zeros(3, dtype=torch.int64), "lie in"),
        (torch.zeros(3, 1, 2, 2), torch.tensor([0, -1, 2]), "negative"),
        (torch.zeros(3, 1, 2, 2), torch.full((3, 4), torch.nan), "NaN"),
        (torch.zeros(3, 1, 2, 2), torch.zeros(3), "labels"),
    ],
)
def test_unusable_data_is_refused_with_a_sentence(images, targets, part):
    with pytest.raises(DataError, match=part):
        Feed(images, targets, CPU)
