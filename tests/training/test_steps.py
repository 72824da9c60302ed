"""One optimiser kept over steps, averaged weights, and what the recipe's newer options do."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from assay.training import Recipe, Steps, fit, predict
from assay.training.feeding import Moves, cut_out
from assay.training.steps import Average, smoothed_loss
from oracles.training import averaged, holed

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
IMAGES = torch.from_numpy(RNG.integers(0, 256, (24, 1, 6, 6), dtype=np.uint8))
LABELS = torch.from_numpy(RNG.integers(0, 3, 24))


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_the_optimiser_is_kept_between_steps():
    """With momentum, two steps of one optimiser lead elsewhere than one step each of two."""
    recipe = Recipe(learning_rate=0.1, momentum=0.9)
    pixels, bare, module = IMAGES.float() / 255, network(), network()
    optimiser = torch.optim.SGD(bare.parameters(), lr=0.1, momentum=0.9, weight_decay=recipe.weight_decay)
    kept = Steps(module, recipe, CPU)
    for rate in (0.1, 0.02, 0.05):
        optimiser.param_groups[0]["lr"] = rate
        loss = cross_entropy(bare(pixels), LABELS)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        value, logits = kept.take(pixels, LABELS, rate)
        assert value.item() == pytest.approx(loss.item(), rel=1e-5)
        assert not logits.requires_grad
    for a, b in zip(module.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    fresh = network()
    for rate in (0.1, 0.02, 0.05):
        Steps(fresh, recipe, CPU).take(pixels, LABELS, rate)
    assert not same(fresh, module)


def test_a_training_that_goes_on_has_the_momentum_of_the_one_before():
    recipe = Recipe(epochs=1, batch_size=24, schedule="constant")
    module, apart = network(), network()
    kept = Steps(module, recipe, CPU)
    for _ in range(3):
        fit(module, IMAGES, LABELS, recipe, seed=0, device=CPU, going=kept)
        fit(apart, IMAGES, LABELS, recipe, seed=0, device=CPU)
    whole = network()
    fit(whole, IMAGES, LABELS, recipe.model_copy(update={"epochs": 3}), seed=0, device=CPU)
    for a, b in zip(module.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    assert not same(module, apart)


def test_averaged_weights_against_a_list_of_numbers():
    layer = nn.Linear(1, 1, bias=False)
    average, seen = Average(layer, 0.9), [layer.weight.item()]
    for number in range(40):
        with torch.no_grad():
            layer.weight.fill_(float(number % 7))
        seen.append(layer.weight.item())
        average.follow()
    with average.shown():
        assert layer.weight.item() == pytest.approx(averaged(seen, 0.9), rel=1e-5)
    assert layer.weight.item() == 4.0
    average.settle()
    assert layer.weight.item() == pytest.approx(averaged(seen, 0.9), rel=1e-5)


def test_a_recipe_with_an_average_ends_with_it_and_judges_by_it(tmp_path):
    recipe = Recipe(epochs=4, batch_size=6, learning_rate=0.1, ema=0.8)
    module, seen = network(), []
    fit(module, IMAGES, LABELS, recipe, seed=0, device=CPU, judge=lambda: seen.append(weights(module)) or len(seen))
    assert torch.equal(weights(module), seen[-1]), "the last epoch was judged best"
    own = network()
    fit(own, IMAGES, LABELS, recipe.model_copy(update={"ema": 0.0}), seed=0, device=CPU)
    assert not torch.equal(weights(own), weights(module))

    def dies():
        if len(seen) == 6:
            raise KeyboardInterrupt
        seen.append(None)
        return len(seen)

    torn, file = network(), tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        fit(torn, IMAGES, LABELS, recipe, seed=0, device=CPU, judge=dies, checkpoint=file)
    seen.extend([None] * 9)
    again = network()
    assert len(fit(again, IMAGES, LABELS, recipe, seed=0, device=CPU, judge=dies, checkpoint=file)) == 4
    assert same(again, module)


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_label_smoothing_is_a_share_of_the_uniform_distribution():
    module = network().eval()
    pixels = IMAGES.float() / 255
    rows = 0.8 * one_hot(LABELS, 3).float() + 0.2 / 3
    value, logits = smoothed_loss(0.2)(module, pixels, LABELS)
    assert value.item() == pytest.approx(cross_entropy(logits, rows).item(), rel=1e-5)
    plain, smooth = network(), network()
    for one, share in ((plain, 0.0), (smooth, 0.2)):
        fit(one, IMAGES, LABELS, Recipe(epochs=1, batch_size=24, label_smoothing=share), seed=0, device=CPU)
    assert not same(plain, smooth)


def test_holes_are_squares_of_grey_that_end_at_the_edge():
    images = torch.rand(5, 2, 7, 6)
    holes = torch.tensor([[0.0, 0.0], [0.99, 0.99], [0.5, 0.5], [0.3, 0.9], [0.0, 0.99]])
    cut = cut_out(images, holes, 3)
    for image, hole, found in zip(images.numpy(), holes.tolist(), cut.numpy(), strict=True):
        assert np.array_equal(found, holed(image, *hole, 3))


def test_cutout_hides_pixels_while_training_and_leaves_other_draws_alone():
    seen = {}

    def spy(module, images, targets):
        seen.setdefault(cutout, []).append(images.clone())
        logits = module(images)
        return cross_entropy(logits, targets), logits

    for cutout in (0, 3):
        recipe = Recipe(epochs=1, batch_size=24, shift=1, flip=True, cutout=cutout)
        fit(network(), IMAGES, LABELS, recipe, seed=0, device=CPU, loss=spy)
    whole, cut = seen[0][0], seen[3][0]
    changed = whole != cut
    assert (cut[changed] == 0.5).all()
    assert 4 <= changed.flatten(1).sum(1).float().mean() <= 9
    moves = Moves.draw(4, 1, True, torch.Generator().manual_seed(0), cut=True)
    assert moves.of(torch.tensor([2])).holes.shape == (1, 2)


def test_mirrored_predictions_are_the_mean_over_both_views():
    module = network()
    found = predict(module, IMAGES, CPU, batch_size=7, mirrored=True)
    both = predict(module, IMAGES, CPU) + predict(module, IMAGES.flip(-1), CPU)
    torch.testing.assert_close(found, both / 2)
