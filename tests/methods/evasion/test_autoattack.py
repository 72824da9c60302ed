"""AutoAttack's parts against slow references, and the ensemble as the worst case of its parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.access import WhiteBox
from assay.methods.check import check_finding
from assay.methods.evasion.ascent import apgd
from assay.methods.evasion.autoattack import AutoAttack
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.fab import Fab, fab, likeliest
from assay.methods.evasion.losses import targeted_dlr
from assay.methods.evasion.projection import to_hyperplane
from assay.targets.target import Target
from methods.evasion.small import CLASSES, SHAPE, context_of, network, pictures, target_of
from oracles.evasion import slow_apgd, slow_fab, slow_onto_plane


def box_of(module):
    return WhiteBox(Target.from_module(module, input_shape=SHAPE, num_classes=CLASSES))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), norm=st.sampled_from(["linf", "l2"]), gap=st.floats(-3, 3), zeros=st.integers(0, 3))
def test_the_step_onto_a_plane_against_bisection(seed, norm, gap, zeros):
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand((1, 7), generator=generator, dtype=torch.float64)
    points[0, :2] = torch.tensor([0.0, 1.0])
    normals = torch.randn((1, 7), generator=generator, dtype=torch.float64)
    normals[0, :zeros] = 0.0
    found = to_hyperplane(points, normals, torch.tensor([gap], dtype=torch.float64), norm)[0]
    slow = slow_onto_plane(points[0], normals[0], gap, norm)
    assert torch.allclose(found, torch.tensor(slow, dtype=torch.float64), atol=1e-6)


def test_planes_side_by_side_are_as_one_by_one():
    generator = torch.Generator().manual_seed(3)
    points, normals = torch.rand((9, 12), generator=generator), torch.randn((9, 12), generator=generator)
    gaps = torch.randn(9, generator=generator)
    for norm in ("linf", "l2"):
        together = to_hyperplane(points, normals, gaps, norm)
        for row in range(9):
            one = to_hyperplane(points[row : row + 1], normals[row : row + 1], gaps[row : row + 1], norm)
            assert torch.allclose(together[row], one[0], atol=1e-6)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1000), norm=st.sampled_from(["linf", "l2"]))
def test_fab_against_one_image_at_a_time(seed, norm):
    module, images = network(seed), pictures(3, seed)
    labels = module(images).argmax(dim=1)
    targets = likeliest(module(images), labels, 2)[:, 1]
    box = box_of(module)
    found, least = fab(box, images, labels, targets, norm, steps=6)
    for number in range(3):
        slow, distance = slow_fab(module, images[number], int(labels[number]), int(targets[number]), norm, 6)
        assert float(least[number]) == pytest.approx(distance, rel=1e-3)
        assert torch.allclose(found[number], slow, atol=1e-3)
    assert box.ledger.gradients == 3 * 6


def test_fab_finds_the_exact_distance_of_a_linear_network():
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(SHAPE, generator=generator)

    class Plane(torch.nn.Module):
        def forward(self, images):
            height = ((images - 0.5) * normal).sum(dim=(1, 2, 3)) + 1.0
            return torch.stack([height, -height], dim=1)

    images = 0.5 + 0.1 * torch.randn((20, *SHAPE), generator=generator).clamp(-4, 4)
    box = WhiteBox(Target.from_module(Plane(), input_shape=SHAPE, num_classes=2))
    labels = box.logits(images).argmax(dim=1)
    for norm in ("linf", "l2"):
        height = (((images - 0.5) * normal).sum(dim=(1, 2, 3)) + 1.0).abs()
        exact = height / (normal.abs().sum() if norm == "linf" else normal.norm())
        _, least = fab(box, images, labels, 1 - labels, norm, steps=20)
        inside = exact < 0.05 if norm == "linf" else exact < 0.3  # farther ones may meet the pixels' range
        assert inside.sum() >= 5
        assert (least[inside] >= exact[inside] - 1e-5).all()
        assert torch.allclose(least[inside], exact[inside], rtol=0.06)


def test_fab_leaves_images_that_are_near_enough():
    module, images = network(1), pictures(20, 1)
    labels = module(images).argmax(dim=1)
    targets = likeliest(module(images), labels, 1)[:, 0]
    full, short = box_of(module), box_of(module)
    _, least = fab(full, images, labels, targets, "l2", steps=20)
    _, soon = fab(short, images, labels, targets, "l2", steps=20, enough=0.3)
    assert torch.equal(soon <= 0.3, least <= 0.3)
    assert (least <= 0.3).float().mean() > 0.2
    assert short.ledger.gradients < full.ledger.gradients


def test_the_targeted_loss_of_known_logits():
    logits = torch.tensor([[5.0, 1.0, 3.0, 2.0]])
    assert targeted_dlr(logits, torch.tensor([[0, 1]])).tolist() == pytest.approx([-4 / (5 - 1.5)])
    assert targeted_dlr(7 * logits, torch.tensor([[0, 1]])).tolist() == pytest.approx([-4 / (5 - 1.5)])
    assert targeted_dlr(logits[:, :3], torch.tensor([[0, 2]])).tolist() == [-2.0]


def test_targeted_apgd_against_the_algorithm_line_by_line():
    module, images = network(5), pictures(4, 5)
    labels = module(images).argmax(dim=1)
    targets = likeliest(module(images), labels, 2)[:, 1]
    box, ball = box_of(module), Ball("linf", 0.05)
    for number in range(4):
        one = slice(number, number + 1)
        target = int(targets[number])
        found = apgd(
            box, images[one], labels[one], ball, start=images[one], steps=12, loss=targeted_dlr, targets=targets[one]
        )
        slow = slow_apgd(
            module, images[number], int(labels[number]), ball, images[number], 12,
            lambda z, y, target=target: targeted_dlr(z, torch.tensor([[int(y), target]])),
        )  # fmt: skip
        assert torch.allclose(found[0], slow, atol=1e-6)


def small(**changes):
    return AutoAttack(**{"steps": 10, "targets": 2, "fab_steps": 8, "queries": 40, "epsilons": (0.03,), **changes})


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_ensemble_is_the_worst_case_of_its_parts(norm, tmp_path):
    target = target_of(network(2), count=80)
    epsilon = 0.03 if norm == "linf" else 0.15
    options = {"norm": norm, "epsilons": (epsilon,)}
    name = f"success_at_{epsilon:g}"
    whole = small(**options)
    finding = check_finding(whole.run(WhiteBox(target), target.splits, context_of(tmp_path)), whole.name, tmp_path)
    fooled = finding.samples[name]
    parts = [finding.metric(f"fell_to_{part.replace('-', '_')}").value for part in whole.attacks]
    assert sum(parts) == pytest.approx(finding.metric(name).value)
    assert 0.05 < finding.metric(name).value < 0.95
    for part in whole.attacks:
        alone = small(**options, attacks=(part,)).run(WhiteBox(target), target.splits, context_of(tmp_path))
        gained = np.nansum((alone.samples[name] == 1) & (fooled == 0))
        assert gained <= 1, part
        assert alone.metric(name).value > 0


def test_gradient_free_parts_alone_do_not_decide_and_neither_does_cross_entropy():
    assert AutoAttack().decides
    assert AutoAttack(**AutoAttack.presets["quick"]).decides
    assert not AutoAttack(attacks=("square",)).decides
    assert not AutoAttack(attacks=("apgd-ce", "square")).decides
    assert not AutoAttack(attacks=("apgd-t",)).decides


def test_a_fooled_image_costs_no_more_gradients(tmp_path):
    target = target_of(network(2), count=80)
    spent = []
    for epsilon in (0.5, 0.03):
        box = WhiteBox(target)
        small(epsilons=(epsilon,)).run(box, target.splits, context_of(tmp_path))
        spent.append(box.ledger.gradients)
    assert spent[0] < 3 * 70 < spent[1]


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_are_attacked_all_the_same(classes, tmp_path):
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, classes))
    with torch.no_grad():
        module[1].weight.normal_(generator=torch.Generator().manual_seed(0))
        module[1].bias.copy_(-module[1].weight.sum(dim=1) / 2)
    images = pictures(60)
    labels = module(images).argmax(dim=1).numpy()
    base = target_of(network())
    part = type(base.splits.non_members)(images.numpy(), labels, "pictures")
    target = Target.from_module(
        module, input_shape=SHAPE, num_classes=classes, splits=base.splits._replace(non_members=part)
    )
    finding = small(epsilons=(0.3,)).run(WhiteBox(target), target.splits, context_of(tmp_path))
    assert finding.metric("success_at_0.3").value > 0.9
    assert (
        AutoAttack(**AutoAttack.presets["quick"], epsilons=(0.3,))
        .run(WhiteBox(target), target.splits, context_of(tmp_path))
        .metric("success_at_0.3")
        .value
        > 0.9
    )


def test_fab_as_a_method(tmp_path):
    target = target_of(network(2), count=60)
    method = Fab(steps=20, targets=2)
    box = WhiteBox(target)
    finding = check_finding(method.run(box, target.splits, context_of(tmp_path)), method.name, tmp_path)
    assert finding.metric("found").value == 1.0
    distances = finding.samples["distance"]
    assert finding.metric("median_distance").value == pytest.approx(np.nanmedian(distances))
    assert finding.metric("success_at_0.5").value == np.nanmean(np.where(np.isnan(distances), np.nan, distances <= 0.5))


def test_options_are_checked():
    with pytest.raises(ValidationError):
        AutoAttack(attacks=())
    with pytest.raises(ValidationError):
        AutoAttack(attacks=("fgsm",))
    with pytest.raises(ValueError, match="epsilon"):
        AutoAttack(epsilons=(0.0,))
