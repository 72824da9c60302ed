import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, softmax

from assay.base.errors import DataError
from assay.base.progress import silent
from assay.data.images import ArrayImages
from assay.training import Recipe, TrainingError, fit, predict, seeded_build
from assay.training.optimisers import rate_at

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
LABELS = torch.from_numpy(RNG.integers(0, 3, 50))
IMAGES = torch.from_numpy(RNG.integers(0, 120, (50, 1, 6, 6), dtype=np.uint8))
for row, own in enumerate(LABELS.tolist()):
    IMAGES[row, 0, 2 * own] = 255


def network(dropout=0.0, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(dropout), nn.Flatten(), nn.Linear(64, 3)
        )


def train(module, recipe, images=IMAGES, targets=LABELS, seed=0, **options):
    return fit(module, images, targets, recipe, seed=seed, device=CPU, **options)


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw", "lion"])
def test_every_optimiser_learns(optimiser):
    module = network()
    rate = {"sgd": 0.05, "lion": 0.003}.get(optimiser, 0.01)
    log = train(module, Recipe(epochs=15, batch_size=16, optimiser=optimiser, learning_rate=rate))
    assert log[-1].accuracy > 0.95
    assert log[-1].loss < log[0].loss
    assert len(log) == 15
    assert not module.training
    assert (predict(module, IMAGES, CPU).argmax(1) == LABELS).float().mean() > 0.95


def test_one_epoch_is_the_bare_loop():
    """A single batch in an epoch has no order, so the whole training can be written out."""
    recipe = Recipe(epochs=4, batch_size=50, learning_rate=0.1, warmup=0.3, weight_decay=0.01, nesterov=True)
    module, bare = network(), network()
    log = train(module, recipe)
    optimiser = torch.optim.SGD(bare.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)
    for step in range(4):
        optimiser.param_groups[0]["lr"] = rate_at(recipe, step, 4)
        loss = cross_entropy(bare(IMAGES.float() / 255), LABELS)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        assert log[step].loss == pytest.approx(loss.item(), rel=1e-4)
        assert log[step].learning_rate == pytest.approx(rate_at(recipe, step, 4))
    for a, b in zip(module.state_dict().values(), bare.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_clip_shortens_the_whole_gradient():
    recipe = Recipe(epochs=1, batch_size=50, learning_rate=0.1, momentum=0.0, weight_decay=0.0)
    moved = {}
    for clip in (None, 1e9, 0.01):
        module = network()
        before = [p.detach().clone() for p in module.parameters()]
        train(module, recipe, clip=clip)
        moved[clip] = torch.cat([(p - b).flatten() for p, b in zip(module.parameters(), before, strict=True)])
    assert torch.equal(moved[None], moved[1e9])
    assert moved[None].norm() > 0.1 * 0.01
    torch.testing.assert_close(moved[0.01], moved[None] * 0.1 * 0.01 / moved[None].norm(), rtol=1e-3, atol=1e-7)


def test_each_epoch_sees_every_image_once_in_even_batches_and_a_new_order():
    seen = []

    def spy(module, images, targets):
        seen.append(images[:, 0, 0, 0].mul(255).round().int().tolist())
        logits = module(images)
        return cross_entropy(logits, targets), logits

    images = IMAGES.clone()
    images[:, 0, 0, 0] = torch.arange(50, dtype=torch.uint8)
    train(network(), Recipe(epochs=2, batch_size=16), images=images, loss=spy)
    assert [len(batch) for batch in seen] == [13, 13, 12, 12] * 2
    first, second = (np.concatenate(part).tolist() for part in (seen[:4], seen[4:]))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second


def test_same_seed_same_weights_whatever_the_global_state():
    recipe = Recipe(epochs=3, batch_size=16, shift=1, flip=True)
    results = []
    for number, seed in enumerate((5, 5, 6)):
        torch.manual_seed(number)
        module = network(dropout=0.5)
        before = torch.get_rng_state()
        with torch.no_grad():
            train(module, recipe, seed=seed)
            assert not torch.is_grad_enabled()
        assert torch.equal(before, torch.get_rng_state())
        results.append(module)
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_seeded_build_depends_on_the_seed_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = seeded_build("digits-mlp", 10, (1, 8, 8), 3)
    torch.rand(7)
    two = seeded_build("digits-mlp", 10, (1, 8, 8), 3)
    other = seeded_build("digits-mlp", 10, (1, 8, 8), 4)
    assert same(one, two)
    assert not same(one, other)
    torch.set_rng_state(before)


def test_an_image_set_and_its_pixels_train_alike():
    one, two = network(), network()
    recipe = Recipe(epochs=2, batch_size=16, shift=1)
    train(one, recipe)
    train(two, recipe, images=ArrayImages(IMAGES.numpy(), LABELS.numpy(), "set"))
    assert same(one, two)


def test_posteriors_as_targets_are_matched():
    teacher = softmax(2 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    module = network()
    recipe = Recipe(epochs=150, batch_size=50, optimiser="adam", learning_rate=0.03, weight_decay=0.0)
    log = train(module, recipe, targets=teacher)
    entropy = -(teacher * teacher.log()).sum(1).mean().item()
    assert log[-1].loss - entropy < 0.05  # what is left of cross-entropy is the KL divergence
    assert log[-1].accuracy > 0.95
    one_hot, hard = network(), network()
    train(one_hot, Recipe(epochs=2), targets=nn.functional.one_hot(LABELS, 3).float())
    train(hard, Recipe(epochs=2))
    for a, b in zip(one_hot.parameters(), hard.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


class Interrupt(Exception):
    pass


class Stopping:
    """Progress that fails after a number of steps."""

    def __init__(self, after):
        self.left = after

    def step(self, label, total):
        return self

    def say(self, text): ...

    def advance(self, amount=1.0):
        if amount == 1.0:
            self.left -= 1
        if self.left < 0:
            raise Interrupt

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "lion"])
def test_interrupted_training_ends_with_the_same_weights(tmp_path, optimiser):
    recipe = Recipe(epochs=5, batch_size=16, optimiser=optimiser, learning_rate=0.01, shift=1)
    file = tmp_path / "state.pt"
    whole = network(dropout=0.3)
    log = train(whole, recipe)
    steps = 0
    for after in (1, 6, 5, 2):
        with pytest.raises(Interrupt):
            train(network(dropout=0.3), recipe, checkpoint=file, progress=Stopping(after))
        steps += after
    resumed = network(dropout=0.3)
    again = train(resumed, recipe, checkpoint=file)
    assert same(whole, resumed)
    assert [e[:3] for e in again] == [e[:3] for e in log]
    assert [f.name for f in tmp_path.iterdir()] == ["state.pt"]
    finished = network(dropout=0.3)
    train(finished, recipe, checkpoint=file, progress=Stopping(0))  # nothing is left to do
    assert same(whole, finished)
    assert not finished.training


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_not_used(tmp_path):
    file = tmp_path / "state.pt"
    recipe = Recipe(epochs=2, batch_size=16)
    train(network(), recipe, checkpoint=file)
    fresh, other = network(), network()
    train(fresh, recipe, seed=1)
    train(other, recipe, seed=1, checkpoint=file)
    assert same(fresh, other)
    changed, expected = network(), network()
    train(changed, recipe, seed=1, targets=LABELS.flip(0), checkpoint=file)
    train(expected, recipe, seed=1, targets=LABELS.flip(0))
    assert same(changed, expected)
    file.write_bytes(file.read_bytes()[:100])
    repaired = network()
    train(repaired, recipe, seed=1, checkpoint=file)
    assert same(fresh, repaired)


@pytest.mark.parametrize("epochs", [1, 20])
def test_divergence_is_one_sentence(epochs):
    with pytest.raises(TrainingError, match=r"surrogate: training diverged in epoch .* below 1e\+30"):
        train(
            network(),
            Recipe(epochs=epochs, learning_rate=1e30, schedule="constant", batch_size=25),
            label="surrogate",
            progress=silent(),
        )


def test_weights_lost_in_the_very_last_step_are_noticed():
    module = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    with pytest.raises(TrainingError, match="diverged"):
        train(module, Recipe(epochs=1, batch_size=50, learning_rate=3e38, momentum=0.0, weight_decay=3e38))


def test_nothing_to_train_is_refused():
    with pytest.raises(TrainingError, match="no parameters"):
        train(network().requires_grad_(False), Recipe())


def test_frozen_layers_stay_as_they_are():
    module, start = network(), network()
    module[0].requires_grad_(False)
    train(module, Recipe(epochs=1))
    assert torch.equal(module[0].weight, start[0].weight)
    assert not torch.equal(module[5].weight, start[5].weight)


def test_predict_gives_logits_in_order_and_refuses_bad_pixels():
    module = network(dropout=0.9)
    module.train()
    logits = predict(module, IMAGES, CPU, batch_size=7)
    assert logits.shape == (50, 3)
    assert logits.dtype == torch.float32
    assert not logits.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(logits, module.eval()(IMAGES.float() / 255))
    as_set = predict(module, ArrayImages(IMAGES.numpy(), LABELS.numpy(), "set"), CPU, batch_size=7)
    assert torch.equal(logits, as_set)
    with pytest.raises(DataError, match="lie in"):
        predict(module, IMAGES.float(), CPU)


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_epoch_that_is_judged_best_is_kept(tmp_path, interrupted):
    images, labels = torch.rand(24, 1, 4, 4), torch.arange(24) % 3
    recipe = Recipe(epochs=6, batch_size=8, optimiser="adam", learning_rate=0.05)
    scores = [0.2, 0.9, 0.1, 0.9, 0.3, 0.4]

    def network():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))

    def train(module, epochs_before_death=None, **options):
        weights = []

        def judge():
            if len(weights) == epochs_before_death:
                raise KeyboardInterrupt
            weights.append(module[1].weight.detach().clone())
            return scores[number + len(weights) - 1]

        fit(module, images, labels, recipe, seed=0, device=torch.device("cpu"), judge=judge, **options)
        return weights

    number, module = 0, network()
    weights = train(module)
    assert torch.equal(module[1].weight, weights[3])
    assert not torch.equal(weights[3], weights[5])
    if interrupted:
        again = network()
        with pytest.raises(KeyboardInterrupt):
            train(again, 4, checkpoint=tmp_path / "a")
        number, again = 4, network()
        assert len(train(again, checkpoint=tmp_path / "a")) == 2
        assert torch.equal(again[1].weight, weights[3])
