"""The ensemble of public networks: weights, questions, what is in hand, and what a target without any is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import Oracle, PosteriorStore, Published, Serving
from assay.base.errors import AccessError
from assay.catalogue.curated import curated
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.evasion import surrogates
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.bases import Bases, BasesOptions, bases, wrong_classes
from assay.methods.evasion.surrogates import Committee, public_networks
from assay.studies import Trial, Workspace, run_trials
from assay.targets.reference import load_target
from assay.targets.target import Target
from methods.evasion.small import CLASSES, SHAPE, context_of, network, pictures, target_of


def member(seed):
    return Published(Target.from_module(network(seed), input_shape=SHAPE, num_classes=CLASSES))


def committee(*seeds):
    return Committee([member(seed) for seed in seeds])


def test_the_weighted_gradient_is_the_sum_of_the_members_own():
    hand, images = committee(1, 2, 3), pictures(5)
    weights = torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5], [0.2, 0.3, 0.5], [0, 0, 1], [1 / 3] * 3])
    wanted = torch.rand((5, CLASSES), generator=torch.Generator().manual_seed(0))
    found, answers = hand.weighted(images, weights, lambda logits: (logits * wanted).sum(dim=1))
    expected, told = torch.zeros_like(images), torch.zeros_like(answers)
    for number, seed in enumerate((1, 2, 3)):
        inputs = images.clone().requires_grad_(True)
        logits = network(seed)(inputs).log_softmax(dim=1)
        (gradient,) = torch.autograd.grad((weights[:, number] * (logits * wanted).sum(dim=1)).sum(), inputs)
        expected += gradient
        told += weights[:, number, None] * logits.detach()
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(answers, told, atol=1e-5)
    assert [each.ledger.gradients for each in hand.members] == [3, 3, 4]
    assert hand.ledger.gradients == 10


def test_members_must_fit_each_other():
    with pytest.raises(ValueError, match="one shape"):
        Committee([])
    other = Target.from_module(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3)), input_shape=(1, 4, 4), num_classes=3
    )
    with pytest.raises(ValueError, match="one shape"):
        Committee([member(1), Published(other)])


class Counting:
    def __init__(self, module, images):
        self.module, self.images, self.asked = module, images, np.zeros(len(images), int)

    @torch.no_grad()
    def __call__(self, points):
        assert float(points.min()) >= 0.0
        assert float(points.max()) <= 1.0
        near = torch.cdist(points.flatten(1), self.images.flatten(1)).argmin(dim=1)
        self.asked += np.bincount(near.numpy(), minlength=len(self.images))
        return self.module(points)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    cap=st.integers(1, 25),
    search=st.integers(0, 12),
    size=st.tuples(st.sampled_from(["linf", "l2"]), st.floats(0.01, 0.3)),
    targeted=st.booleans(),
)
def test_no_image_costs_more_than_the_cap_and_none_leaves_its_ball(seed, cap, search, size, targeted):
    (norm, epsilon), module, images = size, network(seed), pictures(6, seed)
    labels = module(images).argmax(dim=1)
    generator = torch.Generator().manual_seed(seed)
    aims = wrong_classes(labels, CLASSES, generator) if targeted else None
    target = Counting(module, images)
    options = BasesOptions(norm=norm, epsilon=epsilon, max_queries=cap, search=search, steps=3)
    found = bases(target, images, labels, committee(seed + 1, seed + 2), options, generator, aims)
    assert np.array_equal(found.queries, target.asked)
    assert found.queries.max() <= cap
    assert float(Ball(norm, epsilon).sizes(found.adversarial - images).max()) <= epsilon * (1 + 1e-4)
    answers = module(found.adversarial).argmax(dim=1)
    wanted = answers == aims if targeted else answers != labels
    assert np.array_equal(found.success, wanted.numpy())


def test_images_side_by_side_are_attacked_as_one_by_one():
    """While weights are searched, which draws nothing at random."""
    module, images = network(5), pictures(10, 5)
    labels = module(images).argmax(dim=1)
    options = BasesOptions(norm="linf", epsilon=0.08, max_queries=10, search=9, steps=4)

    def attack(rows):
        return bases(module, images[rows], labels[rows], committee(1, 2, 5), options, torch.Generator().manual_seed(0))

    together = attack(slice(0, 10))
    for row in range(10):
        alone = attack(slice(row, row + 1))
        assert alone.queries[0] == together.queries[row]
        assert torch.allclose(alone.adversarial[0], together.adversarial[row], atol=1e-5)
    assert len(set(together.queries)) > 2


def test_the_search_finds_the_member_that_is_like_the_target():
    """With a hundred misleading gradients against one right one, equal weights fail and the search does not."""
    module, images = network(5), pictures(40, 5)
    labels = module(images).argmax(dim=1)

    class Against(torch.nn.Module):
        def forward(self, images):
            return -3 * module(images)

    misleading = Published(Target.from_module(Against(), input_shape=SHAPE, num_classes=CLASSES))
    right = Published(Target.from_module(module, input_shape=SHAPE, num_classes=CLASSES))
    shares = []
    for cap in (2, 20):
        options = BasesOptions(norm="linf", epsilon=0.1, max_queries=cap, search=19, confidence=100.0)
        hand, generator = Committee([misleading, right]), torch.Generator().manual_seed(0)
        shares.append(bases(module, images, labels, hand, options, generator).success.mean())
    assert shares[0] < 0.3
    assert shares[1] > shares[0] + 0.4


def test_the_most_accurate_networks_of_the_data_set_but_not_the_target():
    target = load_target("starter/digits-cnn")
    found = public_networks(target, 20)
    assert {entry.id for entry in found} == {
        name for name, entry in curated().items() if entry.dataset == "digits" and name != "starter/digits-cnn"
    }
    accuracies = [surrogates.accuracy(entry) for entry in found]
    assert accuracies == sorted(accuracies, reverse=True)
    assert public_networks(target, 3) == found[:3]
    renamed = replace(target, name="mine")
    assert "starter/digits-cnn" in [entry.id for entry in public_networks(renamed, 20)]


def trial_of(target, **options):
    return Trial(target, Bases(max_images=10, max_queries=20, **options), Serving(), 0)


def test_the_target_under_another_name_is_left_out_by_its_weights():
    renamed = replace(load_target("starter/digits-cnn"), name="mine")
    named = [each.text for each in trial_of(renamed).companions]
    assert "starter/digits-cnn" not in named
    assert "starter/digits-mlp" in named
    assert f"{len(named)} public networks in hand" in trial_of(renamed).access


def test_other_networks_in_hand_are_another_trial():
    target = load_target("starter/digits-cnn")
    assert trial_of(target, surrogates=2).key != trial_of(target, surrogates=3).key


def test_without_a_public_network_it_is_skipped(tmp_path):
    target = target_of(network())
    trial = Trial(target, Bases(), Serving(), 0)
    (outcome,) = run_trials([trial], Workspace(tmp_path / "w")).outcomes
    assert outcome.status == "skipped"
    assert "another public network of the same data set" in outcome.reason
    with pytest.raises(AccessError, match="another public network"):
        Bases().prior(context_of(tmp_path))


def test_networks_of_another_shape_are_not_in_hand():
    images = ArrayImages(np.random.default_rng(0).random((20, 1, 4, 4), np.float32), np.arange(20) % 10, "digits test")
    target = Target.from_module(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 10)),
        input_shape=(1, 4, 4),
        num_classes=10,
        splits=Splits(non_members=images),
    )
    assert public_networks(target, 20) == []
    assert "another public network" in trial_of(target).why_not()


@pytest.mark.parametrize("targeted", [False, True])
def test_as_a_method_every_gradient_is_in_the_ledger(targeted, tmp_path):
    trial = trial_of(load_target("starter/digits-cnn"), surrogates=3, targeted=targeted)
    (outcome,) = run_trials([trial], Workspace(tmp_path / "w")).outcomes
    assert outcome.status == "done", outcome.reason
    assert outcome.metric("success").value > 0.5
    assert "3 public networks in hand" in outcome.verdict.sentence
    assert ("drawn beforehand" in outcome.verdict.sentence) is targeted
    assert outcome.verdict.level != "low"
    assert outcome.spent.gradients >= 3 * 10 * outcome.metric("success").n


def test_the_oracle_counts_as_many_questions(tmp_path):
    target = target_of(network(2), count=30)
    oracle = Oracle(target, Serving(), PosteriorStore(tmp_path / "store", CLASSES))
    context = context_of(tmp_path, companions={"public network 1": member(1)})
    finding = Bases(max_images=30, max_queries=15, steps=3).run(oracle, target.splits, context)
    queries = finding.samples["queries"]
    right = finding.samples["clean_accuracy"] == 1
    # The image itself was asked about before; the attacker has notes, and pays once.
    assert oracle.ledger.images <= int(queries.sum()) + int((~right).sum())
    assert queries.max() <= 15


def slow_search(module, image, label, networks, epsilon, questions, steps):
    """One image: the weights' search as algorithm 1 reads, a try in vain taken back. The point and the weights."""
    count = len(networks)
    weights, point, number = [1 / count] * count, image, 0

    def margin_of(logits):
        others = torch.cat([logits[:label], logits[label + 1 :]])
        return others.max() - logits[label]

    def crafted(weights):
        x = point
        for _ in range(steps):
            x = x.clone().requires_grad_(True)
            losses = [margin_of(network(x[None])[0].log_softmax(0)).clamp_max(5.0) for network in networks]
            (gradient,) = torch.autograd.grad(sum(w * one for w, one in zip(weights, losses, strict=True)), x)
            x = x.detach() + 3 / steps * epsilon * gradient.sign()
            x = (image + (x - image).clamp(-epsilon, epsilon)).clamp(0, 1)
        return x

    with torch.enable_grad():
        point = crafted(weights)
        best = float(margin_of(module(point[None])[0]))
        for _ in range(questions - 1):
            if best > 0:
                break
            changed = list(weights)
            changed[number // 2 % count] = max(changed[number // 2 % count] + (1 - 2 * (number % 2)) / count, 0.0)
            changed = [w / sum(changed) for w in changed]
            candidate = crafted(changed)
            value = float(margin_of(module(candidate[None])[0]))
            better = value > best
            if better:
                weights, point, best = changed, candidate, value
            number += 2 if better and number % 2 == 0 else 1
    return point


def test_the_search_against_one_image_at_a_time():
    module, images = network(5), pictures(12, 7)
    labels = module(images).argmax(dim=1)
    options = BasesOptions(norm="linf", epsilon=0.06, max_queries=8, search=7, steps=4)
    with torch.no_grad():
        answers = module(images).argmax(dim=1)
    assert torch.equal(answers, labels)
    found = bases(
        lambda x: module(x).detach(), images, labels, committee(1, 2, 3), options, torch.Generator().manual_seed(0)
    )
    for row in range(12):
        slow = slow_search(module, images[row], int(labels[row]), [network(n) for n in (1, 2, 3)], 0.06, 7, 4)
        assert torch.allclose(found.adversarial[row], slow, atol=1e-5), row
