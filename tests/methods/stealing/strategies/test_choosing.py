"""Strategies that choose from a pool: their scores against slow references."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.base.errors import UsageError
from assay.data.images import ArrayImages
from assay.methods.stealing.deepfool import deepfool_distances
from assay.methods.stealing.strategies import STRATEGIES, parse_strategy
from assay.methods.stealing.strategies.k_center import greedy_k_center
from assay.methods.stealing.strategies.knockoff import clusters
from assay.methods.stealing.strategies.uncertainty import entropies, first, margins
from oracles.stealing import distance_to_boundary, entropy_of, k_center, margin_of

torch.set_num_threads(1)

SEEDS = st.integers(0, 2**32 - 1)
CPU = torch.device("cpu")


@settings(deadline=None)
@given(seed=SEEDS, rows=st.integers(1, 6), classes=st.integers(2, 6), spread=st.floats(0.0, 30.0))
def test_entropy_and_margin_against_loops(seed, rows, classes, spread):
    logits = np.random.default_rng(seed).normal(0, spread, (rows, classes))
    assert entropies(torch.from_numpy(logits)).tolist() == pytest.approx([entropy_of(row) for row in logits], abs=1e-12)
    assert margins(torch.from_numpy(logits)).tolist() == pytest.approx([margin_of(row) for row in logits], abs=1e-12)


def test_the_smallest_scores_come_first_and_equals_in_the_order_given():
    rows = np.array([7, 3, 9, 5])
    assert first(rows, torch.tensor([0.5, 0.1, 0.5, 0.1]), 3).tolist() == [3, 5, 7]


@settings(deadline=None)
@given(seed=SEEDS, points=st.integers(1, 12), centres=st.integers(1, 4), width=st.integers(1, 3), data=st.data())
def test_k_center_against_all_distances_anew(seed, points, centres, width, data):
    random = np.random.default_rng(seed)
    cloud, held = random.integers(0, 5, (points, width)) * 1.0, random.integers(0, 5, (centres, width)) * 1.0
    count = data.draw(st.integers(1, points))
    chosen = greedy_k_center(torch.from_numpy(cloud), torch.from_numpy(held), count)
    assert chosen.tolist() == k_center(cloud.tolist(), held.tolist(), count)


def test_k_center_in_pieces_is_k_center(monkeypatch):
    random = np.random.default_rng(0)
    cloud, held = (torch.from_numpy(random.normal(size=(n, 3))) for n in (40, 7))
    whole = greedy_k_center(cloud, held, 10)
    monkeypatch.setattr("assay.methods.stealing.strategies.k_center.ELEMENTS", 20)
    assert np.array_equal(greedy_k_center(cloud, held, 10), whole)


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, classes=st.integers(2, 5))
def test_deepfool_of_a_linear_network_is_the_distance_from_its_boundary(seed, classes):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, classes).double())
        images = torch.rand(4, 2, 2, 2, dtype=torch.float64)
    weights, bias = network[1].weight.tolist(), network[1].bias.tolist()
    wanted = [distance_to_boundary(weights, bias, image) for image in images.flatten(1).tolist()]
    assert deepfool_distances(network, images, CPU).tolist() == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_deepfool_says_infinite_where_the_label_cannot_be_changed():
    class Sure(torch.nn.Module):
        def forward(self, images):
            return torch.stack([images.sum((1, 2, 3)) * 0 + 1, images.sum((1, 2, 3)) * 0], dim=1)

    assert torch.isinf(deepfool_distances(Sure(), torch.rand(3, 1, 2, 2), CPU)).all()


def test_deepfool_bends_with_a_curved_boundary():
    class Ring(torch.nn.Module):
        def forward(self, images):
            radius = images.flatten(1).square().sum(1)
            return torch.stack([radius, torch.full_like(radius, 0.25)], dim=1)

    images = torch.tensor([0.9, 0.0]).view(1, 1, 1, 2)
    assert deepfool_distances(Ring(), images, CPU).item() == pytest.approx(0.4, abs=0.02)


def test_clusters_part_a_pool_by_its_looks():
    random = np.random.default_rng(0)
    kinds = random.integers(0, 3, 90)
    images = np.zeros((90, 1, 16, 16), np.float32)
    for place, kind in enumerate(kinds):
        images[place, :, 5 * kind : 5 * kind + 5] = random.uniform(0.8, 1.0, (1, 5, 16))
    rows = random.permutation(90)
    found = clusters(ArrayImages(images, kinds, "stripes"), rows, 3, seed=1)
    pairs = set(zip(kinds[rows].tolist(), found.tolist(), strict=True))
    assert len(pairs) == 3
    assert {arm for _, arm in pairs} == {0, 1, 2}


def test_strategies_are_written_as_text():
    parsed = parse_strategy("margin:rounds=3,seed_share=0.25")
    assert (parsed.name, parsed.rounds, parsed.seed_share) == ("margin", 3, 0.25)
    assert parse_strategy("knockoff:certainty=false").certainty is False
    assert parse_strategy("random") == STRATEGIES.get("random")()
    for text, message in (
        ("margim", "did you mean 'margin'"),
        ("margin:round=3", "no option 'round': did you mean 'rounds'"),
        ("margin:rounds=0", "rounds: Input should be greater than or equal to 1"),
        ("margin:rounds", "not of the form margin:option=value"),
    ):
        with pytest.raises(UsageError, match=message):
            parse_strategy(text)
