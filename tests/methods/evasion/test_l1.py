"""L1: APGD against the algorithm one image at a time, FAB's step against a linear programme, Square, the ensemble."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from assay.access import WhiteBox
from assay.methods.check import check_finding
from assay.methods.evasion.apgd import Apgd
from assay.methods.evasion.autoattack import AutoAttack, Run
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.fab import fab
from assay.methods.evasion.losses import cross_entropy, targeted_dlr
from assay.methods.evasion.projection import to_hyperplane
from assay.methods.evasion.sparse_ascent import shrinking_apgd, sparse_apgd
from assay.methods.evasion.square import SquareOptions, square
from assay.targets.target import Target
from methods.evasion.small import CLASSES, SHAPE, context_of, network, pictures, target_of


def box_of(module, classes=CLASSES):
    return WhiteBox(Target.from_module(module, input_shape=SHAPE, num_classes=classes))


def slow_sparse(module, image, label, epsilon, start, steps, loss):
    """Mind the box, algorithm 1, one image, all steps taken; the first misclassified point or the best."""
    ball, pixels = Ball("l1", epsilon), image.numel()
    x, here, best, most, first = image, start.clone(), start.clone(), -math.inf, None
    alpha, count = epsilon, int((start != image).sum())
    k, slope = count / pixels / 1.5, None
    for step in range(steps + 1):
        point = here.clone().requires_grad_(True)
        logits = module(point[None])
        value = loss(logits, label[None])[0]
        (gradient,) = torch.autograd.grad(value, point)
        value = value.detach()
        if first is None and int(logits.argmax()) != int(label.flatten()[0]):
            first = here.clone()
        if float(value) > most:
            most, best, slope = float(value), here.clone(), gradient
        if step and step % max(int(0.04 * steps), 1) == 0:
            now = int((best != x).sum())
            if now / max(count, 1) < 0.95:
                alpha, here, gradient = epsilon, best.clone(), slope
            else:
                alpha = max(alpha / 1.5, epsilon / 10)
            count, k = now, now / pixels / 1.5
        size = gradient.abs().flatten().sort().values
        least = size[int(min(max((1 - k) * pixels, 0), pixels - 1))]
        kept = torch.where(gradient.abs() >= least, gradient, 0.0).sign()
        here = ball.project((here + alpha * kept / kept.abs().sum())[None], x[None])[0]
    return best if first is None else first


@pytest.mark.parametrize("seed", [0, 4])
@pytest.mark.parametrize("targeted", [False, True])
def test_apgd_against_one_image_at_a_time(seed, targeted):
    module, images = network(seed), pictures(6, seed)
    labels = module(images).argmax(dim=1)
    targets = (labels + 1) % CLASSES if targeted else None
    goal = labels if targets is None else torch.stack((labels, targets), dim=1)
    box, ball, loss = box_of(module), Ball("l1", 0.4), targeted_dlr if targeted else cross_entropy
    start = ball.project(images + torch.randn(images.shape, generator=torch.Generator().manual_seed(1)), images)
    found = sparse_apgd(box, images, labels, ball, start=start, steps=30, loss=loss, targets=targets)
    for number in range(6):
        slow = slow_sparse(module, images[number], goal[number], 0.4, start[number], 30, loss)
        assert torch.allclose(found[number], slow, atol=1e-5), number
    assert box.ledger.gradients <= 6 * 31


def test_stages_stay_in_the_ball_and_cost_what_is_said():
    module, images = network(1), pictures(20, 1)
    labels, ball = module(images).argmax(dim=1), Ball("l1", 0.05)
    box = box_of(module)
    found = shrinking_apgd(
        box, images, labels, ball, generator=torch.Generator().manual_seed(0), steps=20, loss=cross_entropy
    )
    assert float(ball.sizes(found - images).max()) <= 0.05 * (1 + 1e-5)
    assert 20 * (7 + 7) < box.ledger.gradients <= 20 * (7 + 7 + 9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), gap=st.floats(-3, 3))
def test_the_step_onto_a_plane_against_a_linear_programme(seed, gap):
    generator = torch.Generator().manual_seed(seed)
    point = torch.rand((1, 6), generator=generator, dtype=torch.float64)
    normal = torch.randn((1, 6), generator=generator, dtype=torch.float64)
    normal[0, 0] = 0.0
    found = to_hyperplane(point, normal, torch.tensor([gap], dtype=torch.float64), "l1")[0].numpy()
    w, x = normal[0].numpy(), point[0].numpy()
    least = linprog(
        np.ones(12), A_eq=np.concatenate([w, -w])[None], b_eq=[gap], bounds=[(0, r) for r in (*(1 - x), *x)]
    )
    assert (x + found >= -1e-9).all()
    assert (x + found <= 1 + 1e-9).all()
    if least.success:
        assert w @ found == pytest.approx(gap, abs=1e-8)
        assert np.abs(found).sum() == pytest.approx(least.fun, abs=1e-7)
    else:
        assert abs(w @ found) < abs(gap)


def test_fab_finds_no_farther_point_than_apgd_needs():
    module, images = network(2), pictures(30, 2)
    labels = module(images).argmax(dim=1)
    targets = (labels + 1) % CLASSES
    found, least = fab(box_of(module), images, labels, targets, "l1", steps=30)
    there = torch.isfinite(least)
    assert there.float().mean() > 0.9
    assert torch.allclose(Ball("l1", 0.0).sizes(found - images)[there], least[there])
    assert (module(found[there]).argmax(dim=1) != labels[there]).all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), cap=st.integers(1, 40), epsilon=st.floats(0.1, 4.0))
def test_square_keeps_its_cap_and_its_ball(seed, cap, epsilon):
    module, images = network(seed), pictures(6, seed)
    labels, asked = module(images).argmax(dim=1), []

    @torch.no_grad()
    def ask(points):
        asked.append(len(points))
        return module(points)

    options = SquareOptions(norm="l1", epsilon=epsilon, max_queries=cap)
    found = square(ask, images, labels, options, torch.Generator().manual_seed(seed))
    assert sum(asked) == found.queries.sum()
    assert found.queries.max() <= cap
    assert float(Ball("l1", epsilon).sizes(found.adversarial - images).max()) <= epsilon * (1 + 1e-4)
    assert float(found.adversarial.min()) >= 0.0
    assert float(found.adversarial.max()) <= 1.0
    assert np.array_equal((module(found.adversarial).argmax(dim=1) != labels).numpy(), found.success)


def test_the_published_schedule():
    runs = AutoAttack(norm="l1")._runs(9)
    assert [run.part for run in runs] == ["apgd-ce"] * 5 + ["apgd-t"] * 5 + ["fab-t"] * 9 + ["square"]
    assert AutoAttack()._runs(9)[:2] == [Run("apgd-ce"), Run("apgd-t", 0)]
    assert len(AutoAttack(restarts=3)._runs(9)) == 3 + 9 + 9 + 1


@pytest.mark.parametrize("kind", [Apgd, AutoAttack])
def test_as_methods(kind, tmp_path):
    target = target_of(network(2), count=60)
    method = kind(norm="l1", steps=20, epsilons=(0.1, 1.5))
    if kind is AutoAttack:
        method = AutoAttack(norm="l1", steps=20, epsilons=(0.1, 1.5), targets=2, fab_steps=10, queries=40)
    finding = check_finding(method.run(WhiteBox(target), target.splits, context_of(tmp_path)), method.name, tmp_path)
    assert finding.metric("success_at_0.1").value < finding.metric("success_at_1.5").value
    assert finding.metric("success_at_1.5").value > 0.7
    assert "L1 length" in finding.verdict.sentence
