"""SurFree: caps, points that were really asked about, the geometry of its circles, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import Oracle, PosteriorStore, Serving, WhiteBox
from assay.methods.check import check_finding
from assay.methods.evasion.fab import Fab
from assay.methods.evasion.surfree import Circles, SurFree, _orthogonal, _spectrum, _turned, walk
from methods.evasion.small import CLASSES, context_of, network, pictures, target_of


def picture():
    return torch.rand((1, 8, 8), generator=torch.Generator().manual_seed(1))


def others(labels):
    """For each of a few images one of another label."""
    return np.array([int(np.flatnonzero(labels != label)[0]) for label in labels])


def circles(module, images, cap, enough, asked):
    @torch.no_grad()
    def ask(points):
        assert float(points.min()) >= 0.0
        assert float(points.max()) <= 1.0
        asked.append(points.clone())
        return module(points).argmax(dim=1).numpy()

    labels = module(images).argmax(dim=1).numpy()
    return Circles(ask, images, labels, images[others(labels)], cap, enough, seed=0), labels


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), cap=st.integers(0, 60), enough=st.floats(0.0, 1.0))
def test_no_image_costs_more_than_the_cap(seed, cap, enough):
    module, images, asked = network(seed), pictures(12, seed), []
    if len(set(module(images).argmax(dim=1).tolist())) == 1:
        return
    walks, _ = circles(module, images, cap, enough, asked)
    rounds = list(walks.rounds())
    assert walks.spent.max() <= cap
    assert sum(rounds) == walks.spent.sum() == sum(map(len, asked))
    assert ((walks.spent == cap) | (walks.radius <= enough)).all()


def test_the_radius_is_that_of_a_misclassified_point_that_was_asked_about():
    module, images, asked = network(2), pictures(8, 2), []
    walks, labels = circles(module, images, 150, 0.0, asked)
    begun = walks.radius.copy()
    list(walks.rounds())
    points = torch.cat(asked)
    with torch.no_grad():
        wrong = module(points).argmax(dim=1).numpy()
    for row in range(len(images)):
        size = (points - images[row]).flatten(1).norm(dim=1).numpy()
        assert np.abs(size[wrong != labels[row]] - walks.radius[row]).min() < 1e-6
    assert (walks.radius < begun).all()


def test_every_point_of_the_circle_is_as_near_as_the_formula_says():
    random = np.random.default_rng(0)
    image = torch.full((1, 8, 8), 0.5)
    away = torch.from_numpy(0.1 * random.standard_normal((1, 8, 8)) / 8).float()
    across = _orthogonal(_spectrum(picture()), [away / away.norm()], random)
    assert float(across.norm()) == pytest.approx(1, abs=1e-5)
    assert float((across * away).sum()) == pytest.approx(0, abs=1e-6)
    for angle in np.linspace(-1.5, 1.5, 7):
        change = _turned(image, away, across, float(angle)) - image
        assert float(change.norm()) == pytest.approx(float(away.norm()) * np.cos(angle), rel=1e-4)
        # On the circle over the line from the image to the best point: a right angle at every point (Thales).
        assert float((change * (away - change)).sum()) == pytest.approx(0, abs=1e-6)


def test_directions_are_orthogonal_to_those_before_and_of_low_frequency():
    random, image = np.random.default_rng(1), picture()
    kept = []
    for _ in range(10):
        kept.append(_orthogonal(_spectrum(image), kept, random))
    flat = torch.stack(kept).flatten(1)
    assert torch.allclose(flat @ flat.T, torch.eye(10), atol=1e-3)
    assert 0.4 < (_spectrum(image) != 0).mean() <= 0.51
    plain = torch.zeros(1, 8, 8)
    assert float(_orthogonal(_spectrum(plain), kept[:3], random).norm()) == pytest.approx(1, abs=1e-5)


def test_a_walk_stays_on_the_misclassified_side_of_a_plane_and_ends_near_its_foot():
    """Right answers known: misclassified is what lies beyond a plane at distance 0.3."""
    random = np.random.default_rng(3)
    image = torch.full((1, 8, 8), 0.5)
    normal = torch.from_numpy(random.standard_normal((1, 8, 8))).float()
    normal /= normal.norm()
    start = image + 0.6 * normal + 0.9 * _orthogonal(np.zeros((1, 8, 8)), [normal], random)
    steps = walk(image, start.clamp(0, 1), 60, random)
    point, sizes = next(steps), [float("inf")]
    for _ in range(3000):
        beyond = float(((point - image) * normal).sum()) > 0.3
        sizes.append(min(sizes[-1], float((point - image).norm())) if beyond else sizes[-1])
        point = steps.send(beyond)
    assert sizes[-1] >= 0.3
    assert sizes[-1] < 0.36
    assert sizes[20] > 0.42


def test_as_a_method_it_comes_near_the_white_box_s_distances(tmp_path):
    target = target_of(network(), count=40)
    oracle = Oracle(target, Serving(output="label"), PosteriorStore(tmp_path / "store", CLASSES))
    method = SurFree(max_queries=600, max_images=40, epsilon=1e-6)
    finding = check_finding(method.run(oracle, target.splits, context_of(tmp_path)), method.name, tmp_path)
    near = Fab(steps=30, targets=2).run(WhiteBox(target), target.splits, context_of(tmp_path))
    ours = dict(zip(finding.samples["row"], finding.samples["distance"], strict=True))
    least = dict(zip(near.samples["row"], near.samples["distance"], strict=True))
    ratios = [ours[row] / least[row] for row in ours if np.isfinite(ours[row]) and np.isfinite(least[row])]
    assert len(ratios) == 30
    assert min(ratios) > 0.9
    assert np.median(ratios) < 1.5
    assert oracle.ledger.images <= 40 + 30 * 599
    (curve,) = finding.figures
    assert curve.series[0].y == sorted(curve.series[0].y)
