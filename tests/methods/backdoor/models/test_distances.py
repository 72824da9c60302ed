"""Distances to labels against quadratic programming, and what counts where a label is not reached."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from assay.access import WhiteBox
from assay.base.errors import AccessError
from assay.methods.backdoor.models.distances import distances
from assay.targets.target import Target
from methods.backdoor.models.toys import TARGET, toy_target

SHAPE, CLASSES = (1, 3, 4), 3


def linear_box():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, CLASSES))
    return WhiteBox(Target.from_module(module, input_shape=SHAPE, num_classes=CLASSES))


def middling(count):
    return 0.3 + 0.4 * torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))


def shortest(box, image, label):
    """The exact distance: the nearest point where the label's logit is the largest, a convex problem."""
    weight, bias = (p.detach().double().numpy() for p in (box.module.module[1].weight, box.module.module[1].bias))
    flat = image.double().numpy().ravel()
    ahead = [
        {"type": "ineq", "fun": lambda d, o=other: (weight[label] - weight[o]) @ (flat + d) + bias[label] - bias[o]}
        for other in range(CLASSES)
        if other != label
    ]
    found = minimize(lambda d: d @ d, np.zeros(12), jac=lambda d: 2 * d, constraints=ahead, method="SLSQP")
    assert found.success
    return np.sqrt(found.x @ found.x / 12)


def test_in_a_linear_network_they_are_nearly_the_shortest():
    box, images = linear_box(), middling(6)
    labels = np.array([2, 0])
    found = distances(box, images, labels, 50, 0.01)
    called = box.logits(images).argmax(1).numpy()
    for row, label in zip(found, labels, strict=True):
        for image, own, distance in zip(images, called, row, strict=True):
            if own == label:
                assert distance == 0
            else:
                best = shortest(box, image, label)
                assert best <= distance <= 1.15 * best + 0.01


def test_what_is_not_reached_counts_as_far_as_one_can_go():
    box, images = linear_box(), middling(6)
    found = distances(box, images, np.arange(CLASSES), 2, 1e-4)
    called = box.logits(images).argmax(1).numpy()
    assert set(np.round(found[called == np.arange(CLASSES)[:, None]], 9)) == {0.0}
    np.testing.assert_allclose(found[called != np.arange(CLASSES)[:, None]], 2e-4)
    assert box.ledger.gradients < 2 * CLASSES * len(images), "images that have arrived cost nothing"


def test_a_backdoor_brings_every_image_nearer_to_its_label():
    mean = {}
    for backdoor in (True, False):
        target = toy_target(backdoor=backdoor)
        images = target.splits.non_members.take(np.arange(30))
        box = WhiteBox(target)
        found = distances(box, images, np.arange(6), 30, 0.02)
        others = box.logits(images).argmax(1).numpy() != np.arange(6)[:, None]
        mean[backdoor] = np.array([row[other].mean() for row, other in zip(found, others, strict=True)])
    assert mean[True].argmin() == TARGET
    assert mean[True][TARGET] < 0.9 * mean[False][TARGET]


def test_gradients_that_are_not_finite_are_one_sentence():
    class Broken(torch.nn.Module):
        def forward(self, images):
            total = images.flatten(1).sum(1, keepdim=True)
            return torch.cat([total, (total - total.detach()).sqrt() * 1.0], 1)

    box = WhiteBox(Target.from_module(Broken(), input_shape=SHAPE, num_classes=2))
    with pytest.raises(AccessError, match="not finite"):
        distances(box, middling(3), np.array([1]), 3, 0.01)
