"""What attackers have in hand, and an attack that tries their own adversarial images first."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import WhiteBox
from assay.methods.evasion.queries import QueryOptions
from assay.methods.siblings.attackers import Ensemble, roles
from assay.methods.siblings.campaigns import SQUARE_SHARE, planned, run_attack, transfer
from assay.targets.target import Target
from methods.evasion.small import CLASSES, SHAPE, network, pictures
from methods.siblings.pairs import box, digits, sibling

torch.set_num_threads(1)


def hand(seed: int) -> WhiteBox:
    return WhiteBox(Target.from_module(network(seed), input_shape=SHAPE, num_classes=CLASSES))


class Noting:
    """A target that counts its questions, but for the second about an unchanged image: an attacker keeps notes."""

    def __init__(self, module: torch.nn.Module, images: torch.Tensor) -> None:
        self.module, self.images = module, images
        self.asked = np.zeros(len(images), int)

    @torch.no_grad()
    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        near = torch.cdist(points.flatten(1), self.images.flatten(1)).argmin(dim=1)
        for whose, point in zip(near.tolist(), points, strict=True):
            self.asked[whose] += not (self.asked[whose] and torch.equal(point, self.images[whose]))
        return self.module(points)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 500), other=st.integers(0, 500), cap=st.integers(1, 30), norm=st.sampled_from(["l2", "linf"])
)
def test_an_attack_by_transfer_keeps_its_cap_and_its_ball(seed, other, cap, norm):
    module, images = network(seed), pictures(6, seed)
    labels = module(images).argmax(dim=1)
    labels[0] = (labels[0] + 1) % CLASSES
    target = Noting(module, images)
    options = QueryOptions(norm=norm, epsilon=0.15, max_queries=cap)
    found = transfer(target, images, labels, hand(other), options, torch.Generator().manual_seed(seed))
    assert target.asked.tolist() == found.queries.tolist()
    assert found.queries.max() <= cap
    change = (found.adversarial - images).flatten(1)
    size = change.norm(dim=1) if norm == "l2" else change.abs().amax(dim=1)
    assert float(size.max()) <= 0.15 + 1e-5
    assert np.array_equal((module(found.adversarial).argmax(dim=1) != labels).numpy(), found.success)


def test_what_carries_over_costs_two_questions():
    test = digits().splits.non_members
    assert test is not None
    labels = torch.from_numpy(test.labels[:40])
    images = test.take(np.arange(40))
    right = box().logits(images).argmax(1) == labels
    options = QueryOptions(norm="l2", epsilon=1.5, max_queries=50)
    found = transfer(box().logits, images[right], labels[right], sibling("int8"), options, torch.Generator())
    assert found.success.all()
    assert np.mean(found.queries == 2) > 0.9


def test_nothing_transfers_from_nothing():
    assert planned({"no prior": None, "sibling": hand(0)}, ("transfer", "gfcs")) == [
        ("gfcs", "no prior"), ("transfer", "sibling"), ("gfcs", "sibling"), ("square", "no prior"),
    ]  # fmt: skip
    images = pictures(1)
    with pytest.raises(ValueError, match="nothing transfers"):
        run_attack("transfer", network(), images, torch.tensor([0]), None, QueryOptions(), torch.Generator())


@pytest.mark.parametrize(("norm", "published"), [("linf", 0.05), ("l2", 0.1)])
def test_square_begins_with_the_share_of_its_authors_code(norm, published, monkeypatch):
    from assay.methods.siblings import campaigns

    seen = []
    monkeypatch.setattr(campaigns, "square", lambda ask, images, labels, options, generator: seen.append(options))
    options = QueryOptions(norm=norm, max_queries=7)
    run_attack("square", network(), pictures(1), torch.tensor([0]), None, options, torch.Generator())
    assert SQUARE_SHARE[norm] == published
    assert (seen[0].initial_share, seen[0].norm, seen[0].max_queries) == (published, norm, 7)


def test_an_ensemble_is_the_mean_of_log_probabilities():
    images = pictures(5)
    networks = [network(seed, sharpness) for seed, sharpness in ((0, 1.0), (1, 30.0))]
    expected = sum(torch.log_softmax(each(images), 1) for each in networks) / 2
    torch.testing.assert_close(Ensemble(networks)(images), expected)


def test_roles_of_independent_networks():
    assert roles(()) == {}
    assert roles(("a", "b", "c")) == {"independent": "a", "independent 2": "b", "independent 3": "c"}
