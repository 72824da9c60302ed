"""Learners' formulas against slow references."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.data.images import ArrayImages
from assay.methods.stealing.learners.fixmatch import FixMatch, consistency, strong
from assay.methods.stealing.learners.kl import Distillation, sharpened
from assay.methods.stealing.learners.mixmatch import MixMatch, guess
from assay.methods.stealing.learners.mixup import Mixup, heavier
from assay.methods.stealing.learners.views import mix, mixed_logits
from assay.training import Done, Recipe, plain_loss
from oracles import learners as slow

PLAIN = Recipe()
SHAPE = (1, 4, 4)
CLASSES = 3


class Linear(torch.nn.Module):
    """Logits that are sums of pixels, with steep weights, so that some answers are sure."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.weight = torch.nn.Parameter(4 * torch.randn(16, CLASSES))

    def forward(self, images):
        return images.flatten(1) @ self.weight


def rows(count, seed=0, scale=2.0):
    return scale * torch.randn(count, CLASSES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pictures(count, seed):
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def posteriors(count, seed=0):
    return torch.softmax(rows(count, seed), dim=1).float()


def pool():
    images = pictures(9, 5).numpy()
    return ArrayImages(images, [0] * 9, "pool")


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 5), seed=st.integers(0, 99), temperature=st.sampled_from([0.3, 0.5, 1.0, 2.0, 7.0]))
def test_sharpening(count, seed, temperature):
    answers = torch.softmax(rows(count, seed), dim=1)
    answers[0, 1] = 0.0
    found = sharpened(answers, temperature)
    expected = [slow.sharpen(row, temperature) for row in answers.tolist()]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_sharpening_does_not_underflow():
    assert sharpened(torch.tensor([[1e-30, 2e-30]]), 0.1)[0, 1] == pytest.approx(1024 / 1025)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 4.0])
def test_distillation(temperature):
    module, images, answers = Linear(), pictures(6, 0), posteriors(6, 1)
    answers[2] = torch.tensor([0.0, 1.0, 0.0])
    value, logits = Distillation(temperature=temperature).loss(PLAIN, None)(module, images, answers)
    assert torch.equal(logits, module(images))
    assert value.item() == pytest.approx(slow.distillation(answers.tolist(), logits.tolist(), temperature), rel=1e-4)


def test_distillation_at_temperature_1_has_the_gradient_of_soft_labels():
    gradients = []
    for loss in (Distillation().loss(PLAIN, None), plain_loss):
        module = Linear()
        loss(module, pictures(6, 0), posteriors(6, 1))[0].backward()
        gradients.append(module.weight.grad)
    torch.testing.assert_close(*gradients)


def test_mixup_is_the_formula():
    module, images, answers = Linear(), pictures(7, 0), posteriors(7, 1)
    torch.manual_seed(8)
    value, logits = Mixup(alpha=0.4).loss(PLAIN, None)(module, images, answers)
    torch.manual_seed(8)
    partner, share = torch.randperm(7).tolist(), heavier(7, 0.4, images).tolist()
    flat = slow.mixed(images.flatten(1).tolist(), partner, share)
    torch.testing.assert_close(logits, module(torch.tensor(flat)), rtol=1e-4, atol=1e-4)
    targets = slow.mixed(answers.tolist(), partner, share)
    expected = sum(map(slow.cross_entropy, targets, logits.tolist())) / 7
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_labels_are_mixed_as_one_hot_rows():
    labels = torch.tensor([0, 2, 1, 2])
    values = []
    for targets in (labels, torch.eye(CLASSES)[labels]):
        torch.manual_seed(0)
        values.append(Mixup().loss(PLAIN, None)(Linear(), pictures(4, 0), targets)[0])
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("alpha", [0.75, 1.0])
def test_shares_are_the_larger_part_of_a_beta_draw(alpha):
    torch.manual_seed(0)
    drawn = heavier(4000, alpha, torch.zeros(1))
    other = torch.distributions.Beta(alpha, alpha).sample((4000,))
    assert 0.5 <= drawn.min() < 0.52
    assert 0.98 < drawn.max() <= 1.0
    assert drawn.mean() == pytest.approx((other - 0.5).abs().mean().item() + 0.5, abs=0.01)


@settings(max_examples=25, deadline=None)
@given(copies=st.integers(1, 3), count=st.integers(1, 4), seed=st.integers(0, 99))
def test_guesses_are_sharpened_means_over_views(copies, count, seed):
    logits = rows(copies * count, seed).float()
    found = guess(logits, copies, 0.5)
    for image in range(count):
        views = [logits[copy * count + image].tolist() for copy in range(copies)]
        assert found[image].tolist() == pytest.approx(slow.mean_guess(views, 0.5), rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 6), seed=st.integers(0, 99))
def test_mixing_images_and_targets(count, seed):
    random = torch.Generator().manual_seed(seed)
    order, share = torch.randperm(count, generator=random), torch.rand(count, generator=random)
    images, targets = pictures(count, seed), posteriors(count, seed)
    found = mixed_logits(torch.nn.Flatten(), images, order, share)
    expected = slow.mixed(images.flatten(1).tolist(), order.tolist(), share.tolist())
    torch.testing.assert_close(found, torch.tensor(expected))
    expected = slow.mixed(targets.tolist(), order.tolist(), share.tolist())
    torch.testing.assert_close(mix(targets, targets[order], share), torch.tensor(expected))


@pytest.mark.parametrize(
    ("done", "weight"), [(Done(0, 50), 0.0), (Done(5, 50), 2.5), (Done(5, 9), 2.5), (Done(40, 50), 10.0)]
)
def test_mixmatch_is_the_algorithm(done, weight):
    module, images, answers, others = Linear(), pictures(4, 0), posteriors(4, 1), pictures(4, 2)
    loss = MixMatch(lambda_u=10.0, ramp=20).loss(PLAIN, pool())
    assert loss.ratio == 1
    torch.manual_seed(5)
    value, logits = loss.loss(module, images, answers, others, done)
    torch.manual_seed(5)
    share = heavier(12, 0.75, images).tolist()
    order = torch.randperm(12).tolist()
    guesses = [slow.mean_guess([row, row], 0.5) for row in module(others).tolist()]
    every = torch.cat([images, others, others]).flatten(1).tolist()
    inputs, targets = (slow.mixed(part, order, share) for part in (every, answers.tolist() + 2 * guesses))
    expected = module(torch.tensor(inputs)).tolist()
    assert value.item() == pytest.approx(slow.mixmatch_loss(4, expected, targets, weight), rel=1e-3)
    torch.testing.assert_close(logits, torch.tensor(expected[:4]), rtol=1e-3, atol=1e-3)


def test_mixmatch_guesses_carry_no_gradient():
    graphs = []

    class Spied(Linear):
        def forward(self, images):
            logits = super().forward(images)
            graphs.append(logits.requires_grad)
            return logits

    module = Spied()
    MixMatch().loss(PLAIN, pool()).loss(module, pictures(2, 0), posteriors(2), pictures(2, 1), Done(1, 2))
    assert graphs == [False, True]


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 6), seed=st.integers(0, 99), threshold=st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_fixmatch_counts_only_what_is_sure(count, seed, threshold):
    weak, distorted = rows(count, seed, 3.0), rows(count, seed + 1)
    weak.requires_grad_(True)
    distorted.requires_grad_(True)
    value = consistency(weak, distorted, threshold)
    expected = slow.fixmatch_term(weak.tolist(), distorted.tolist(), threshold)
    assert value.item() == pytest.approx(expected, rel=1e-5, abs=1e-9)
    value.backward()
    assert weak.grad is None
    masked = torch.softmax(weak.detach().float(), dim=1).amax(dim=1) < threshold
    assert (distorted.grad[masked] == 0).all()


def test_fixmatch_is_the_formula():
    module, images, answers, others = Linear(), pictures(3, 0), posteriors(3, 1), pictures(6, 2)
    learner = FixMatch(threshold=0.6, lambda_u=2.0, mu=2, operations=1, start=0.3)
    loss = learner.loss(PLAIN, pool())
    assert loss.ratio == 2
    torch.manual_seed(5)
    value, logits = loss.loss(module, images, answers, others, Done(3, 10))
    torch.manual_seed(5)
    distorted = strong(1, 10)(others)
    weak, tried = module(others).tolist(), module(distorted).tolist()
    known = sum(map(slow.cross_entropy, answers.tolist(), module(images).tolist())) / 3
    term = slow.fixmatch_term(weak, tried, 0.6)
    assert term > 0
    assert value.item() == pytest.approx(known + 2.0 * term, rel=1e-3)
    torch.testing.assert_close(logits, module(images))
    before, _ = loss.loss(module, images, answers, others, Done(2, 10))
    assert before.item() == pytest.approx(known, rel=1e-3), "at first answered images alone"


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 12)])
def test_strong_distortions_are_by_seed_and_stay_pixels(shape):
    images = torch.rand(20, *shape, generator=torch.Generator().manual_seed(0))
    kept = images.clone()
    distort = strong(2, 10)
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(distort(images))
    assert torch.equal(images, kept)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert found[0].shape == images.shape
    assert found[0].min() >= 0
    assert found[0].max() <= 1
    assert ((found[0] - images).flatten(1).abs().amax(dim=1) > 0).float().mean() > 0.9
