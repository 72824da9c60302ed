"""FMN, DDN and DeepFool against slow references and exact distances."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import WhiteBox
from assay.methods.check import check_finding
from assay.methods.evasion.ball import Ball, into_l1
from assay.methods.evasion.ddn import Ddn, ddn
from assay.methods.evasion.deepfool import DeepFool, deepfool
from assay.methods.evasion.fmn import BEYOND, Fmn, fmn
from assay.methods.stealing.deepfool import deepfool_distances
from assay.targets.target import Target
from methods.evasion.small import CLASSES, SHAPE, context_of, network, pictures, target_of


def box_of(module, classes=CLASSES):
    return WhiteBox(Target.from_module(module, input_shape=SHAPE, num_classes=classes))


class Plane(torch.nn.Module):
    """Two classes either side of a plane."""

    def __init__(self):
        super().__init__()
        self.normal = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))

    def forward(self, images):
        height = ((images - 0.5) * self.normal).sum(dim=(1, 2, 3)) + 1.0
        return torch.stack([height, -height], dim=1)

    def exact(self, images, norm):
        height = (((images - 0.5) * self.normal).sum(dim=(1, 2, 3)) + 1.0).abs()
        dual = {"linf": self.normal.abs().sum(), "l2": self.normal.norm(), "l1": self.normal.abs().max()}
        return height / dual[norm]


ATTACKS = {
    "fmn linf": ("linf", 0.02, lambda box, x, y: fmn(box, x, y, "linf", steps=300, step=1.0, gamma=0.05)),
    "fmn l2": ("l2", 0.02, lambda box, x, y: fmn(box, x, y, "l2", steps=300, step=1.0, gamma=0.05)),
    "fmn l1": ("l1", 0.05, lambda box, x, y: fmn(box, x, y, "l1", steps=300, step=1.0, gamma=0.05)),
    "ddn": ("l2", 0.02, lambda box, x, y: ddn(box, x, y, steps=300, gamma=0.05, radius=1.0)),
    "deepfool linf": ("linf", 0.03, lambda box, x, y: deepfool(box, x, y, "linf", steps=10, classes=2, overshoot=0.02)),
    "deepfool l2": ("l2", 0.03, lambda box, x, y: deepfool(box, x, y, "l2", steps=10, classes=2, overshoot=0.02)),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_exact_distance_of_a_linear_network(name):
    norm, slack, attack = ATTACKS[name]
    plane = Plane()
    images = 0.5 + 0.05 * torch.randn((60, *SHAPE), generator=torch.Generator().manual_seed(1)).clamp(-2, 2)
    box = box_of(plane, 2)
    labels, exact = box.logits(images).argmax(dim=1), plane.exact(images, norm)
    found = attack(box, images, labels)
    distance = Ball(norm, 0.0).sizes(found - images)
    inside = exact < {"linf": 0.05, "l2": 0.3, "l1": 0.4}[norm]  # farther ones may meet the pixels' range
    assert inside.sum() >= 5
    assert (box.logits(found)[inside].argmax(dim=1) != labels[inside]).all()
    assert (distance[inside] >= exact[inside] * (1 - 1e-4)).all()
    assert (distance[inside] <= exact[inside] * (1 + slack) + 1e-3).all()


def slow_ddn(module, image, label, steps, gamma, radius):
    """One image at a time, from the paper's algorithm 1."""
    x, delta, length = image.double(), torch.zeros_like(image).double(), radius
    best, least = x, math.inf

    def keep(point, logits):
        nonlocal best, least
        wrong = int(logits.argmax()) != label
        if wrong and float((point - x).norm()) < least:
            best, least = point, float((point - x).norm())
        return wrong

    for k in range(steps):
        point = (x + delta).requires_grad_(True)
        logits = module(point[None])[0]
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits[None], torch.tensor([label])), point)
        wrong = keep(point.detach(), logits)
        alpha = 0.01 + 0.99 * (1 + math.cos(math.pi * k / steps)) / 2
        delta = delta + alpha * gradient / gradient.norm()
        length *= 1 - gamma if wrong else 1 + gamma
        delta = (x + length * delta / delta.norm()).clamp(0, 1) - x
    keep(x + delta, module((x + delta)[None])[0])
    return best, least


def slow_fmn(module, image, label, norm, steps, step, gamma):
    """One image at a time, from the paper's algorithm 1; the ball is met by bisection over a threshold in L1."""
    p, q = {"linf": (math.inf, 1), "l2": (2, 2), "l1": (1, math.inf)}[norm]
    x, delta = image.double(), torch.zeros_like(image).double()
    best, least = x, math.inf
    worst = float(torch.maximum(x, 1 - x).flatten().norm(p))
    epsilon = 0.0

    def loss_of(logits):
        others = torch.cat([logits[:label], logits[label + 1 :]])
        return others.max() - logits[label]

    def keep(point, logits):
        nonlocal best, least
        wrong, size = int(logits.argmax()) != label, float((point - x).flatten().norm(p))
        if wrong and size < least:
            best, least = point, size
        return wrong

    def project(change):
        if norm == "linf":
            return change.clamp(-epsilon, epsilon)
        if norm == "l2":
            return change * min(1.0, epsilon / float(change.norm()))
        if float(change.abs().sum()) <= epsilon:
            return change
        low, high = 0.0, float(change.abs().max())
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if float((change.abs() - middle).clamp_min(0).sum()) > epsilon else (low, middle)
        return change.sign() * (change.abs() - high).clamp_min(0)

    for k in range(steps):
        cosine = (1 + math.cos(math.pi * k / steps)) / 2
        point = (x + delta).requires_grad_(True)
        logits = module(point[None])[0]
        loss = loss_of(logits)
        (gradient,) = torch.autograd.grad(loss, point)
        logits, loss = logits.detach(), loss.detach()
        known = least < math.inf
        wrong = keep(point.detach(), logits)
        now = 0.001 + (gamma - 0.001) * cosine
        if wrong:
            epsilon = min(epsilon * (1 - now), least)
        elif known:
            epsilon *= 1 + now
        else:
            linear = float(delta.flatten().norm(p)) + abs(float(loss)) / float(gradient.flatten().norm(q))
            epsilon = max(epsilon * (1 + now), (1 + BEYOND) * linear)
        epsilon = min(epsilon, worst)
        delta = delta + step * (0.01 + 0.99 * cosine) * gradient / gradient.norm()
        delta = (x + project(delta)).clamp(0, 1) - x
    keep(x + delta, module((x + delta)[None])[0])
    return best, least


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_fmn_against_one_image_at_a_time(seed, norm):
    module, images = network(seed).double(), pictures(4, seed).double()
    labels = module(images).argmax(dim=1)
    box = box_of(network(seed))
    found = fmn(box, images.float(), labels, norm, steps=25, step=1.0, gamma=0.05)
    reached = []
    for number in range(4):
        slow, least = slow_fmn(module, images[number], int(labels[number]), norm, 25, 1.0, 0.05)
        reached.append(math.isfinite(least))
        assert torch.allclose(found[number].double(), slow, atol=2e-4), number
    assert sum(reached) >= 3
    assert box.ledger.gradients == 4 * 25


@pytest.mark.parametrize("seed", [0, 3])
def test_ddn_against_one_image_at_a_time(seed):
    module, images = network(seed).double(), pictures(4, seed).double()
    labels = module(images).argmax(dim=1)
    box = box_of(network(seed))
    found = ddn(box, images.float(), labels, steps=25, gamma=0.05, radius=1.0)
    reached = []
    for number in range(4):
        slow, least = slow_ddn(module, images[number], int(labels[number]), 25, 0.05, 1.0)
        reached.append(math.isfinite(least))
        assert torch.allclose(found[number].double(), slow, atol=2e-4), number
    assert sum(reached) >= 3
    assert box.ledger.gradients == 4 * 25


def test_deepfool_is_that_of_the_stealing_strategy():
    """Where no pixel leaves its range the attack goes as far as the strategy measures, and the overshoot beyond."""
    module = network(2)
    images = 0.5 + 0.05 * torch.randn((30, *SHAPE), generator=torch.Generator().manual_seed(1)).clamp(-4, 4)
    box = box_of(module)
    labels = box.logits(images).argmax(dim=1)
    found = deepfool(box, images, labels, "l2", steps=20, classes=CLASSES, overshoot=0.02)
    told = deepfool_distances(module, images, torch.device("cpu"), classes=CLASSES - 1, steps=20)
    inner = ((found > 0) & (found < 1)).flatten(1).all(dim=1) & torch.isfinite(told)
    assert inner.sum() >= 15
    assert torch.allclose((found - images).flatten(1).norm(dim=1)[inner], 1.02 * told[inner], rtol=1e-3, atol=1e-3)


METHODS = {
    "fmn": Fmn(steps=30),
    "fmn l1": Fmn(steps=30, norm="l1"),
    "ddn": Ddn(steps=30),
    "deepfool": DeepFool(),
    "deepfool linf": DeepFool(norm="linf"),
}


@pytest.mark.parametrize("name", METHODS)
def test_as_methods(name, tmp_path):
    method, target = METHODS[name], target_of(network(2), count=60)
    box = WhiteBox(target)
    finding = check_finding(method.run(box, target.splits, context_of(tmp_path)), method.name, tmp_path)
    assert finding.metric("found").value > 0.8
    assert finding.metric("median_distance").interval is not None
    (curve,) = [figure for figure in finding.figures if figure.kind == "lines"]
    assert curve.series[0].y[0] > curve.series[0].y[-1]
    assert box.ledger.gradients > 0


def test_ddn_has_one_norm():
    with pytest.raises(ValueError, match="l2"):
        Ddn(norm="linf")


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 100_000), epsilon=st.floats(0.01, 6.0), size=st.floats(0.1, 3.0))
def test_the_l1_projection_against_bisection(seed, epsilon, size):
    """Onto the ball and the box at once: nearest there, which clipping after projecting onto the ball is not."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand((3, 11), generator=generator, dtype=torch.float64)
    centre[0, :3] = torch.tensor([0.0, 1.0, 0.0])
    change = size * torch.randn((3, 11), generator=generator, dtype=torch.float64)
    change[1, 4] = 0.0
    found = into_l1(change, centre, epsilon)
    assert (found.abs().sum(dim=1) <= epsilon + 1e-9).all()
    assert ((centre + found >= -1e-12) & (centre + found <= 1 + 1e-12)).all()
    for row in range(3):
        room = torch.where(change[row] > 0, 1 - centre[row], centre[row])

        def moved(s, row=row, room=room):
            return torch.minimum((change[row].abs() - s).clamp_min(0), room)

        low, high = 0.0, float(change[row].abs().max())
        if float(moved(0.0).sum()) > epsilon:
            for _ in range(100):
                middle = (low + high) / 2
                low, high = (middle, high) if float(moved(middle).sum()) > epsilon else (low, middle)
        else:
            high = 0.0
        assert torch.allclose(found[row], change[row].sign() * moved(high), atol=1e-9)
