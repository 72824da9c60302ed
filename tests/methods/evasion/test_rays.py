"""RayS: caps, points that were really asked about, the paper's search one image at a time, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import Oracle, PosteriorStore, Serving
from assay.base.errors import BudgetError, UsageError
from assay.methods.check import check_finding
from assay.methods.evasion.rays import TOLERANCE, RayS, Rays
from methods.evasion.small import CLASSES, context_of, network, pictures, target_of


def labels_of(module, asked=None):
    @torch.no_grad()
    def ask(points):
        assert float(points.min()) >= 0.0
        assert float(points.max()) <= 1.0
        if asked is not None:
            asked.append(points.clone())
        return module(points).argmax(dim=1).numpy()

    return ask


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), cap=st.integers(0, 60), enough=st.floats(0.0, 0.2))
def test_no_image_costs_more_than_the_cap(seed, cap, enough):
    module, images, asked = network(seed), pictures(5, seed), []
    labels = labels_of(module)(images)
    walk = Rays(labels_of(module, asked), images, labels, cap, enough)
    rounds = list(walk.rounds())
    assert walk.spent.max() <= cap
    assert sum(rounds) == walk.spent.sum() == sum(map(len, asked))
    assert ((walk.spent == cap) | (walk.radius <= enough)).all()


def test_the_radius_is_that_of_a_misclassified_point_that_was_asked_about():
    module, images, asked = network(2), pictures(8, 2), []
    labels = labels_of(module)(images)
    walk = Rays(labels_of(module, asked), images, labels, 150, 0.0)
    list(walk.rounds())
    points = torch.cat(asked)
    wrong = labels_of(module)(points)
    for row in np.flatnonzero(np.isfinite(walk.radius)):
        size = (points - images[row]).abs().flatten(1).amax(dim=1).numpy()
        fooling = size[wrong != labels[row]]
        assert (fooling <= walk.radius[row] + 1e-6).any()


def slow_rays(ask, image, label, cap):
    """One image, the paper's algorithm 1 with the binary search of algorithm 2, as it reads."""
    pixels, spent = image.numel(), 0
    signs, best = torch.ones(pixels), 1.0
    found = np.inf

    class End(Exception):
        pass

    def wrong(direction, size):
        nonlocal spent, found
        if spent == cap:
            raise End
        spent += 1
        answer = ask((image + np.float32(size) * direction.view_as(image)).clamp(0, 1)[None])[0] != label
        if answer:
            found = min(found, size)
        return answer

    level = 0
    try:
        while True:
            width = -(-pixels // 2**level)
            for first in range(0, pixels, width):
                trial = signs.clone()
                trial[first : first + width] *= -1
                if not wrong(trial, best):
                    continue
                signs, low, high = trial, 0.0, best
                while high - low > TOLERANCE / np.sqrt(pixels):
                    middle = (low + high) / 2
                    if wrong(trial, middle):
                        high = middle
                    else:
                        low = middle
                best = high
            level += width > 1
    except End:
        return found


@pytest.mark.parametrize("seed", [0, 3])
def test_against_one_image_at_a_time(seed):
    module, images = network(seed), pictures(6, seed)
    labels = labels_of(module)(images)
    walk = Rays(labels_of(module), images, labels, 200, 0.0)
    list(walk.rounds())
    slow = [slow_rays(labels_of(module), image, label, 200) for image, label in zip(images, labels, strict=True)]
    assert np.isfinite(slow).sum() >= 4
    assert walk.radius == pytest.approx(np.array(slow), rel=1e-5)


def test_as_a_method(tmp_path):
    target = target_of(network(2), count=40)
    oracle = Oracle(target, Serving(output="label"), PosteriorStore(tmp_path / "store", CLASSES))
    method = RayS(max_queries=200, epsilon=0.1)
    finding = check_finding(method.run(oracle, target.splits, context_of(tmp_path)), method.name, tmp_path)
    assert finding.metric("success_at_0.1").value > 0.5
    assert "changes no pixel by more than 0.1" in finding.verdict.sentence
    assert oracle.ledger.images <= 40 + 30 * 199
    (curve,) = finding.figures
    assert curve.series[0].y == sorted(curve.series[0].y)


def test_bad_sizes_and_budgets_are_one_sentence(tmp_path):
    target = target_of(network(2), count=40)
    oracle = Oracle(target, Serving(output="label", budget=10), PosteriorStore(tmp_path / "store", CLASSES))
    with pytest.raises(BudgetError, match="One image may take 200 questions"):
        RayS(max_queries=200).run(oracle, target.splits, context_of(tmp_path))
    free = Oracle(target, Serving(output="label"), PosteriorStore(tmp_path / "other", CLASSES))
    with pytest.raises(UsageError, match="epsilon is 1"):
        RayS(epsilon=1.5).run(free, target.splits, context_of(tmp_path))
