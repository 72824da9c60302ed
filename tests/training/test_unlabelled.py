"""Losses that see unlabelled images, and training on features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from assay.base.errors import DataError
from assay.data.images import ArrayImages
from assay.training import Recipe, SemiSupervised, fit
from assay.training.feeding import Moves, move, moved

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
IMAGES = torch.from_numpy(RNG.integers(0, 256, (10, 1, 4, 4), dtype=np.uint8))
LABELS = torch.from_numpy(RNG.integers(0, 3, 10))
POOL = ArrayImages(np.arange(30, dtype=np.uint8).reshape(30, 1, 1, 1).repeat(4, 2).repeat(4, 3), [0] * 30, "pool")


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


def spied(seen):
    def loss(module, images, targets, others, done):
        seen.append((len(images), (others[:, 0, 0, 0] * 255).round().int().tolist(), done.share))
        logits = module(images)
        return cross_entropy(logits, targets), logits

    return loss


def train(seed=0, ratio=3, recipe=None, **options):
    seen = []
    recipe = recipe or Recipe(epochs=2, batch_size=4)
    loss = SemiSupervised(spied(seen), POOL, ratio)
    fit(network(), IMAGES, LABELS, recipe, seed=seed, device=CPU, loss=loss, **options)
    return seen


def test_every_batch_comes_with_unlabelled_images_drawn_by_seed_and_the_share_of_steps_done():
    seen = train()
    assert [size for size, _, _ in seen] == [4, 3, 3] * 2
    assert [len(rows) for _, rows, _ in seen] == [12, 9, 9] * 2
    assert [done for _, _, done in seen] == pytest.approx([step / 6 for step in range(6)])
    assert len({tuple(rows) for _, rows, _ in seen}) == 6
    assert seen == train()
    assert seen != train(seed=1)


def test_all_of_the_pool_is_drawn_from():
    seen = train(recipe=Recipe(epochs=20, batch_size=4))
    assert {row for _, rows, _ in seen for row in rows} == set(range(30))


def test_a_resumed_training_draws_what_an_uninterrupted_one_does(tmp_path):
    whole = train(recipe=Recipe(epochs=3, batch_size=4))
    seen = []

    class Enough(Exception):
        pass

    def stopping(module, images, targets, others, done):
        if done.share > 0.5:
            raise Enough
        return spied([])(module, images, targets, others, done)

    options = {"seed": 0, "device": CPU, "checkpoint": tmp_path / "state.pt"}
    recipe = Recipe(epochs=3, batch_size=4)
    with pytest.raises(Enough):
        fit(network(), IMAGES, LABELS, recipe, loss=SemiSupervised(stopping, POOL, 3), **options)
    fit(network(), IMAGES, LABELS, recipe, loss=SemiSupervised(spied(seen), POOL, 3), **options)
    assert seen == whole[3:]


def test_losses_of_other_names_do_not_share_a_checkpoint(tmp_path):
    options = {"checkpoint": tmp_path / "state.pt", "recipe": Recipe(epochs=1, batch_size=4)}
    assert len(train(loss_name="one", **options)) == 3
    assert len(train(loss_name="one", **options)) == 0
    assert len(train(loss_name="two", **options)) == 3
    assert len(train(loss_name="two", ratio=2, **options)) == 3


def test_unusable_unlabelled_images_are_one_sentence():
    loss = SemiSupervised(spied([]), torch.empty(0, 1, 4, 4))
    with pytest.raises(DataError, match="no images"):
        fit(network(), IMAGES, LABELS, Recipe(epochs=1), seed=0, device=CPU, loss=loss)


def test_features_are_trained_on_as_they_are():
    """Values outside [0, 1] are kept, and the recipe's movements passed over."""
    features = torch.from_numpy(RNG.normal(0, 30, (10, 5)).astype(np.float32))
    seen = []

    def loss(module, batch, targets):
        seen.append(batch)
        logits = module(batch)
        return cross_entropy(logits, targets), logits

    recipe = Recipe(epochs=1, batch_size=10, shift=1, flip=True)
    fit(nn.Linear(5, 3), features, LABELS, recipe, seed=0, device=CPU, loss=loss)
    assert sorted(seen[0].tolist()) == sorted(features.tolist())
    with pytest.raises(DataError, match=r"must be \(n, channels, height, width\)"):
        fit(nn.Linear(5, 3), features[:, :, None], LABELS, recipe, seed=0, device=CPU)


def test_moved_images_are_moves_drawn_from_the_global_generator():
    images = torch.rand(6, 2, 5, 4)
    assert moved(images, 0, False) is images
    torch.manual_seed(3)
    found = moved(images, 1, True)
    torch.manual_seed(3)
    assert torch.equal(found, move(images, Moves.draw(6, 1, True), 1))
    assert not torch.equal(found, images)
