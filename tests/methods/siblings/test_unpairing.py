"""Unpairing: the loss against finite differences, what it does to gradients, and the attacker who knows."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from assay.access import Serving
from assay.base.errors import UsageError
from assay.compression.compression import Workshop, parse
from assay.compression.quantisation import quantised
from assay.compression.storage import load_sibling
from assay.data.images import Subset
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.losses import margin
from assay.methods.siblings.attackers import Averaged, in_hand, refitted
from assay.methods.siblings.comparison import Pair, compare
from assay.methods.siblings.similarity_measures import cosines, margin_gradients
from assay.methods.siblings.tradeoff import Candidate, best, share_lost, transfer_cut
from assay.methods.siblings.unpairing import Unpairing, unpaired
from assay.studies import Trial, Workspace, make_method, run_trials
from assay.studies.samples import SAMPLES, read_samples
from assay.training import seeded_build
from methods.siblings.pairs import box, digits
from methods.siblings.test_risk import campaign

torch.set_num_threads(1)
SHAPE = (1, 8, 8)


def workshop(count: int = 300) -> Workshop:
    members = digits().splits.members
    assert members is not None
    return Workshop(SHAPE, 10, Subset(members, np.arange(min(count, len(members)))))


def pixels(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    test = digits().splits.non_members
    assert test is not None
    return test.take(np.arange(count)), torch.from_numpy(test.labels[:count])


@pytest.mark.parametrize(("share", "compared"), [(1.0, 6), (0.5, 3), (0.01, 1)])
def test_the_loss_is_what_it_says(share, compared):
    full, sibling = (seeded_build("digits-mlp-deep", 10, SHAPE, seed).eval() for seed in (0, 1))
    images, labels = pixels(6)
    options = Unpairing(distil=0.25, noise=0.0, share=share)
    value, logits = options.loss(full, 3.0, None)(sibling, images, labels)

    def numeric(network: torch.nn.Module, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        network = copy.deepcopy(network).double()
        step = 1e-6
        moved = torch.cat(
            [
                image.double() + step * torch.eye(64).view(64, *SHAPE),
                image.double() - step * torch.eye(64).view(64, *SHAPE),
            ]
        )
        ends = margin(network(moved), label.expand(128))
        return (ends[:64] - ends[64:]) / (2 * step)

    squares = [
        torch.cosine_similarity(numeric(full, x, y), numeric(sibling, x, y), dim=0) ** 2
        for x, y in zip(images[:compared], labels[:compared], strict=True)
    ]
    task = 0.75 * cross_entropy(sibling(images), labels)
    followed = 0.25 * cross_entropy(sibling(images), full(images).softmax(1))
    expected = task + followed + 3.0 * torch.stack(squares).mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    torch.testing.assert_close(logits, sibling(images))


def test_every_image_has_its_own_amount_of_noise():
    """From none to the most, uniform: at the clean image, gradients must part too."""
    seen = []

    class Watching(torch.nn.Module):
        def forward(self, images):
            seen.append(images.detach().clone())
            return images.flatten(1)[:, :10]

    images, labels = torch.full((1000, *SHAPE), 0.5), torch.zeros(1000, dtype=torch.int64)
    sibling = seeded_build("digits-mlp-deep", 10, SHAPE, 1).eval()
    torch.manual_seed(0)
    Unpairing(distil=0.0, noise=0.1, share=1.0).loss(Watching(), 1.0, None)(sibling, images, labels)
    (near,) = seen
    amounts = (near - images).flatten(1).square().mean(1).sqrt() / 0.1
    quantiles = torch.quantile(amounts, torch.tensor([0.05, 0.5, 0.95]))
    torch.testing.assert_close(quantiles, torch.tensor([0.05, 0.5, 0.95]), rtol=0, atol=0.06)


def test_the_penalty_reaches_the_parameters():
    full, sibling = (seeded_build("digits-mlp-deep", 10, SHAPE, seed).eval() for seed in (0, 1))
    images, labels = pixels(20)
    gradients = []
    for weight in (0.0, 5.0):
        sibling.zero_grad()
        Unpairing(noise=0.0).loss(full, weight, None)(sibling, images, labels)[0].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in sibling.parameters() if p.grad is not None]))
    assert (gradients[0] - gradients[1]).norm() > 0.01 * gradients[0].norm()


@pytest.fixture(scope="module")
def siblings():
    target = digits()
    assert target.module is not None
    options = {"epochs": 12, "learning_rate": 0.05, "batch_size": 32, "share": 1.0}
    made = {}
    for order in ("unpair-then-compress", "compress-then-unpair"):
        for weight in (0.0, 10.0):
            how = Unpairing(order=order, **options)
            made[order, weight] = unpaired(target.module, parse("int8"), weight, how, workshop())
    return made


@pytest.mark.parametrize("order", ["unpair-then-compress", "compress-then-unpair"])
def test_unpaired_gradients_leave_and_accuracy_stays(siblings, order):
    images, labels = pixels(200)
    alike, right = {}, {}
    for weight in (0.0, 10.0):
        network = in_hand(siblings[order, weight], box())
        alike[weight] = np.mean(np.square(cosines(*(margin_gradients(b, images, labels) for b in (box(), network)))))
        right[weight] = float((network.logits(images).argmax(1) == labels).float().mean())
    assert alike[10.0] < 0.3 * alike[0.0]
    assert right[10.0] > right[0.0] - 0.08


def test_both_orders_end_on_the_grid_and_leave_the_model_alone(siblings):
    target = digits()
    assert target.module is not None
    before = {name: value.clone() for name, value in target.module.state_dict().items()}
    for network in siblings.values():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                torch.testing.assert_close(quantised(parameter, 8, "channel"), parameter, rtol=0, atol=1e-6)
    assert all(torch.equal(before[name], value) for name, value in target.module.state_dict().items())


def test_averaging_is_the_mean_over_mirrored_noise():
    network = box().module
    images, _ = pixels(3)
    smooth = Averaged(network, SHAPE, 6, 0.1, 0)
    expected = torch.stack([network(images + noise) for noise in smooth.noise]).mean(0)
    torch.testing.assert_close(smooth(images), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(smooth.noise.sum(0), torch.zeros(SHAPE), rtol=0, atol=1e-6)
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    torch.testing.assert_close(Averaged(linear, SHAPE, 4, 0.5, 1)(images), linear(images), rtol=1e-4, atol=1e-4)


def test_fine_tuning_on_answers_needs_no_labels_and_comes_nearer(siblings):
    questions = digits().splits.auxiliary
    assert questions is not None
    images, labels = pixels(200)
    start = siblings["unpair-then-compress", 10.0]
    posteriors = box().logits(questions.take(np.arange(len(questions)))).softmax(1)
    fitted = refitted(start, questions, posteriors, 5, 0, torch.device("cpu"))
    near, before = (
        np.abs(cosines(*(margin_gradients(b, images, labels) for b in (box(), in_hand(network, box()))))).mean()
        for network in (fitted, start)
    )
    assert near > before
    assert not any(parameter.requires_grad for parameter in fitted.parameters())


def candidate(name: str, accuracy: float, queries: int) -> Candidate:
    right = np.arange(100) < 100 * accuracy
    compared = compare(Pair(box(), box(), *pixels(3)), Ball("l2", 0.1))
    return Candidate(
        name, torch.nn.Identity(), right, compared, np.ones(4), [campaign("p-rgf", name, [queries], [True])]
    )


def test_the_dearest_within_the_allowance_is_chosen():
    paired = candidate("paired", 0.9, 8)
    made = [candidate("a", 0.9, 20), candidate("b", 0.89, 60), candidate("c", 0.7, 500)]
    assert best(paired, made, 0.01, 1000).name == "b"
    assert best(paired, made[2:], 0.01, 1000).name == "c"


def test_what_is_lost_and_cut():
    assert share_lost(np.array([1, 1, 1, 0], bool), np.array([1, 0, 1, 0], bool)) == pytest.approx(0.25)
    before, after = np.array([1.0, 1.0, np.nan, 1.0]), np.array([0.0, 1.0, 1.0, np.nan])
    assert transfer_cut(before, after) == pytest.approx(1 - (2 / 3))
    assert transfer_cut(np.zeros(3), np.zeros(3)) == 0.0


def test_the_method_reports_the_knowing_attacker_too(tmp_path):
    options = {
        "weights": [10.0],
        "train_images": 200,
        "max_images": 8,
        "max_queries": 100,
        "refit_questions": 100,
        "refit_epochs": 2,
        "unpairing": {"epochs": 3, "learning_rate": 0.02},
        "independent": ["starter/digits-cnn-wide"],
        "surrogate": {"epochs": 2},
        "attacks": ["transfer", "gfcs"],
    }
    workspace = Workspace(tmp_path / "w")
    trial = Trial(digits(), make_method("siblings.unpair", None, options), Serving(), 0)
    (outcome,) = run_trials([trial], workspace).outcomes
    assert outcome.status == "done", outcome.reason
    plain, knowing = (outcome.metric(name).value for name in ("times_dearer", "times_dearer_knowing"))
    assert plain is not None
    assert knowing is not None
    assert outcome.metric("times_dearer_best").value <= knowing <= plain
    least = min(
        outcome.metric(f"median_queries_{attack}_{use}").value
        for attack in ("transfer", "gfcs")
        for use in (
            "unpaired,_weight_10", "averaged_gradients", "fine-tuned_on_answers", "fine-tuned,_averaged",
            "fine-tuned,_with_independent_networks",
        )
    )  # fmt: skip
    paired = min(outcome.metric(f"median_queries_{attack}_paired_sibling").value for attack in ("transfer", "gfcs"))
    assert knowing == pytest.approx(least / paired)
    assert outcome.verdict is not None
    assert outcome.verdict.metric in ("saving", "success_gained")
    assert "the unpaired, weight 10" in outcome.verdict.sentence
    samples = read_samples(workspace.artefacts(outcome.key) / SAMPLES)
    attacked = ~np.isnan(samples["success_gfcs_no_prior"])
    test = digits().splits.non_members
    assert test is not None
    assert attacked.sum() == 8
    right = box().logits(test.take(samples.row)).argmax(1).numpy() == test.labels[samples.row]
    assert right[attacked].all()
    assert attacked.tolist() == (right & (np.cumsum(right) <= 8)).tolist()
    folder = workspace.artefacts(outcome.key) / "sibling"
    assert digits().module is not None
    network, described = load_sibling(folder, digits().module)
    assert "weight 10" in described.note
    trial = Trial(digits(), make_method("siblings.similarity", None, {"sibling": str(folder)}), Serving(), 0)
    assert trial.why_not() == ""
    images, _ = pixels(4)
    assert torch.isfinite(network(images)).all()


def test_a_published_sibling_cannot_be_unpaired():
    with pytest.raises(UsageError, match="name a compression"):
        make_method("siblings.unpair", None, {"sibling": "starter/digits-cnn-int8"})
