"""Strategies that make images: Jacobian augmentation, adversarial learning, data-free."""

import math

import numpy as np
import pytest
import torch

from assay.access import Answers, Oracle, PosteriorStore, Serving
from assay.base.errors import AccessError
from assay.data.images import ArrayImages
from assay.methods.method import Context
from assay.methods.stealing.strategies import parse_strategy
from assay.methods.stealing.strategies.data_free import disagreement, make_generator
from assay.methods.stealing.thief import OutOfQuestions, Thief
from assay.targets.target import Target
from assay.training import Recipe, fit, seeded_build

torch.set_num_threads(1)

SHAPE = (1, 8, 8)
CLASSES = 4


class Quadrants(torch.nn.Module):
    """Names the brightest quadrant."""

    def forward(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) * 25


class Nothing:
    def advance(self, amount=1.0):
        pass


class Trainer:
    def prepare(self):
        return seeded_build("digits-mlp", CLASSES, SHAPE, 0)

    def fit(self, module, transfer, pool, *, epochs, fresh, label):
        taught = torch.from_numpy(transfer.answers.labels)
        recipe = Recipe(epochs=epochs or 5, batch_size=16, optimiser="adam", learning_rate=0.01)
        return fit(module, transfer.images, taught, recipe, seed=0, device=torch.device("cpu"))


def pool_of(count):
    random = np.random.default_rng(3)
    return ArrayImages(random.uniform(0, 1, (count, *SHAPE)).astype(np.float32), np.zeros(count, np.int64), "pool")


def steal(strategy, folder, budget=120, pool=200, serving=None):
    """The thief after a strategy has spent its budget, and every image that the target saw, in order."""
    seen = []
    target = Target.from_module(Quadrants(), input_shape=SHAPE, num_classes=CLASSES)
    oracle = Oracle(target, serving or Serving(), PosteriorStore(folder / "store.bin", CLASSES), budget)
    ask = oracle.ask

    def noting(images):
        seen.append(images.clone())
        return ask(images)

    oracle.ask = noting
    context = Context(seed=1, device=torch.device("cpu"), artefacts=folder, shared=folder)
    thief = Thief(oracle, pool_of(pool) if pool else None, budget, Trainer(), context, step=Nothing())
    with pytest.raises(OutOfQuestions):
        parse_strategy(strategy).run(thief)
    assert oracle.ledger.images == thief.spent == budget
    return thief, torch.cat(seen)


@pytest.mark.parametrize("variant", ["away", "random", "likely"])
def test_jacobian_images_are_earlier_images_moved_by_at_most_the_size(variant, tmp_path):
    _, seen = steal(f"jacobian:seeds=30,variant={variant},size=0.1,epochs=3", tmp_path)
    for place in range(30, 120):
        nearest = (seen[:place] - seen[place]).abs().amax(dim=(1, 2, 3)).min()
        assert nearest <= 0.1 + 1e-5
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 1


def test_jbda_moves_along_the_sign_of_the_loss_gradient_of_the_targets_label(tmp_path):
    thief, seen = steal("jacobian:seeds=30,epochs=3", tmp_path, budget=60)
    surrogate = thief.surrogate
    seeds, moved = seen[:30], seen[30:]
    labels = Quadrants()(seeds).argmax(1)
    inputs = seeds.clone().requires_grad_(True)
    torch.nn.functional.cross_entropy(surrogate(inputs), labels, reduction="sum").backward()
    expected = (seeds + 0.1 * inputs.grad.sign()).clamp(0, 1)
    for image in moved:  # they come in random order
        assert (expected - image).abs().amax(dim=(1, 2, 3)).min() < 1e-6


@pytest.mark.parametrize("attack", ["pgd", "cw"])
def test_adversarial_questions_fool_the_surrogate_that_made_them(attack, tmp_path):
    thief, seen = steal(f"adversarial:attack={attack},rounds=1,epochs=20,epsilon=0.3", tmp_path)
    made, pool = seen[60:], thief.pool.take(np.arange(200))
    distance = (made[:, None] - pool[None]).abs().flatten(2).amax(2)
    origins = distance.argmin(1)
    flipped = thief.surrogate(made).argmax(1) != thief.surrogate(pool[origins]).argmax(1)
    assert float(flipped.float().mean()) > 0.9
    assert len(set(origins.tolist()) & set(thief.asked_rows.tolist())) == 0
    if attack == "pgd":
        assert float(distance.amin(1).max()) <= 0.3 + 1e-5


def test_adversarial_goes_on_with_asked_images_when_the_pool_runs_short(tmp_path):
    thief, _ = steal("adversarial:rounds=2,epochs=3", tmp_path, budget=100, pool=60)
    assert thief.remaining == 0


def test_data_free_asks_without_a_pool_and_learns_from_what_it_made(tmp_path):
    thief, seen = steal("data-free:batch_size=20,passes=2", tmp_path, budget=330, pool=0)
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 1
    assert len(thief.notes) == 0, "answers are not kept"
    # each iteration: 20 made, the same moved, and 2 times 20 to teach
    moved = (seen[20:40] - seen[:20]).abs().amax()
    assert 0 < float(moved) < 1e-3


def test_the_data_free_student_is_one_sgd_on_the_l1_distance_of_centred_logits(tmp_path):
    """Replayed step by step from the questions that were asked: one optimiser is kept, and its rate falls on time."""
    thief, seen = steal("data-free:batch_size=10,passes=3,drop=0.3", tmp_path, budget=250, pool=0)
    replayed = Trainer().prepare().train()
    optimiser = torch.optim.SGD(replayed.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for start in range(0, 250, 50):
        optimiser.param_groups[0]["lr"] = 0.1 * 0.3 ** sum(start >= at * 250 for at in (0.1, 0.3, 0.5))
        last = 240 if start == 200 else start + 50  # the budget ends before the last batch is learned
        for batch in torch.split(seen[start + 20 : last], 10):
            logs = Quadrants()(batch).softmax(1).clamp_min(1e-7).log()
            own = replayed(batch)
            loss = ((own - own.mean(1, keepdim=True)) - (logs - logs.mean(1, keepdim=True))).abs().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    state = thief.surrogate.state_dict()
    for name, tensor in replayed.state_dict().items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-4, atol=1e-5)


def test_data_free_needs_posteriors(tmp_path):
    with pytest.raises(AccessError, match="posteriors"):
        steal("data-free", tmp_path, pool=0, serving=Serving(output="label"))


def test_the_disagreement_is_the_l1_distance_of_centred_logs():
    posteriors = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]], np.float32)
    own = np.log(np.array([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1]]))
    expected = []
    for theirs, ours in zip(posteriors, own, strict=True):
        logs = [math.log(max(float(p), 1e-7)) for p in theirs]
        a = [value - sum(logs) / 3 for value in logs]
        b = [value - sum(ours) / 3 for value in ours]
        expected.append(sum(abs(x - y) for x, y in zip(a, b, strict=True)))
    assert disagreement(Answers(np.zeros(2, np.int64), posteriors), own) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 17)])
def test_the_generator_makes_images_of_any_shape_the_same_for_the_same_seed(shape):
    noise = torch.randn(4, 16)
    one, two = (make_generator(16, shape, torch.Generator().manual_seed(5)) for _ in range(2))
    made = one(noise)
    assert made.shape == (4, *shape)
    assert torch.equal(made, two(noise))
