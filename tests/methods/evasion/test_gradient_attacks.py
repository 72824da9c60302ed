import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import WhiteBox
from assay.base.errors import AccessError, DataError, UsageError
from assay.methods.about import About
from assay.methods.check import check_finding
from assay.methods.evasion.apgd import Apgd
from assay.methods.evasion.ascent import apgd, checkpoints, pgd
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.fixed_epsilon import FixedEpsilon
from assay.methods.evasion.losses import LOSSES, dlr, margin
from assay.methods.evasion.pgd import Pgd
from assay.targets.target import Target
from methods.evasion.small import CLASSES, SHAPE, context_of, network, pictures, target_of
from oracles.evasion import slow_apgd, slow_pgd


def box_of(module):
    return WhiteBox(Target.from_module(module, input_shape=SHAPE, num_classes=CLASSES))


def setting(seed, wrong=0):
    module, images = network(seed), pictures(5, seed)
    labels = module(images).argmax(dim=1)
    labels[:wrong] = (labels[:wrong] + 1) % CLASSES
    return module, images, labels


SIZES = st.tuples(st.sampled_from(["linf", "l2"]), st.floats(0.005, 0.5))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), size=SIZES, loss=st.sampled_from(sorted(LOSSES)))
def test_pgd_against_one_image_at_a_time(seed, size, loss):
    module, images, labels = setting(seed, wrong=1)
    box, ball = box_of(module), Ball(*size)
    start = ball.inside(images, torch.Generator().manual_seed(seed))
    found = pgd(box, images, labels, ball, start=start, steps=4, step=0.4, loss=LOSSES[loss])
    gradients = 0
    for number in range(5):
        slow, spent = slow_pgd(module, images[number], int(labels[number]), size, start[number], 4, 0.4, LOSSES[loss])
        assert torch.allclose(found[number], slow, atol=1e-5)
        gradients += spent
    assert box.ledger.gradients == gradients


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    epsilon=st.floats(0.005, 0.1),
    loss=st.sampled_from(["margin", "cross-entropy"]),
    wrong=st.booleans(),
)
def test_apgd_against_the_algorithm_line_by_line(seed, epsilon, loss, wrong):
    """Images one at a time: where the loss rests, the last digit of an answer decides, and batches differ there."""
    module, images, labels = setting(seed, wrong)
    box, ball = box_of(module), Ball("linf", epsilon)
    start = ball.inside(images, torch.Generator().manual_seed(seed))
    for one in (slice(0, 1), slice(1, 2)):
        found = apgd(box, images[one], labels[one], ball, start=start[one], steps=12, loss=LOSSES[loss])
        slow = slow_apgd(module, images[one][0], int(labels[one]), ball, start[one][0], 12, LOSSES[loss])
        assert torch.allclose(found[0], slow, atol=1e-6)


def test_apgd_does_the_same_for_images_side_by_side():
    module, images, labels = setting(2)
    box, ball = box_of(module), Ball("l2", 0.2)
    found = apgd(box, images, labels, ball, start=images, steps=12, loss=margin)
    for number in range(5):
        slow = slow_apgd(module, images[number], int(labels[number]), ball, images[number], 12, margin)
        assert torch.allclose(found[number], slow, atol=1e-4)


def test_checkpoints_of_the_paper():
    assert checkpoints(100) == [0, 22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1) == [0]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), size=SIZES)
def test_points_stay_in_the_ball_and_in_range(seed, size):
    _, images, _ = setting(seed)
    ball, generator = Ball(*size), torch.Generator().manual_seed(seed)
    far = images + 3 * torch.randn(images.shape, generator=generator)
    for points in (ball.project(far, images), ball.inside(images, generator)):
        change = (points - images).flatten(1)
        assert float((change.abs().amax(1) if size[0] == "linf" else change.norm(dim=1)).max()) <= size[1] + 1e-5
        assert float(points.min()) >= 0.0
        assert float(points.max()) <= 1.0
    near = images + (far - images) * 1e-6
    assert torch.allclose(ball.project(near, images), near.clamp(0, 1), atol=1e-6)
    gradient = far - images
    steepest = ball.steepest(gradient)
    norm = steepest.abs().amax((1, 2, 3)) if size[0] == "linf" else steepest.flatten(1).norm(dim=1)
    assert torch.allclose(norm, torch.ones(5), atol=1e-5)


def test_losses_of_known_logits():
    logits, labels = torch.tensor([[3.0, 1.0, 0.0], [0.0, 5.0, 4.0]]), torch.tensor([0, 2])
    assert margin(logits, labels).tolist() == [-2.0, 1.0]
    assert dlr(logits, labels).tolist() == pytest.approx([-2 / 3, 1 / 5])
    assert dlr(logits * 7, labels).tolist() == pytest.approx([-2 / 3, 1 / 5])
    assert dlr(logits[:, :2], torch.tensor([0, 1])).tolist() == pytest.approx([-2, -5])
    assert torch.allclose(margin(logits.log_softmax(1), labels), margin(logits, labels))


@pytest.mark.parametrize("kind", [Pgd, Apgd])
def test_success_grows_with_epsilon_and_every_gradient_is_counted(kind, tmp_path):
    target = target_of(network())
    box = WhiteBox(target)
    finding = kind(epsilons=(0.05, 0.02, 0.3), steps=5).run(box, target.splits, context_of(tmp_path))
    rates = [finding.metric(f"success_at_{e:g}").value for e in (0.02, 0.05, 0.3)]
    assert rates[0] <= rates[1] <= rates[2] == 1.0
    assert rates[0] < 1.0
    assert finding.metric("clean_accuracy").value == pytest.approx(50 / 60)
    assert 0 < box.ledger.gradients <= 3 * 50 * 6
    assert finding.metric("noise_success_at_0.02").value <= rates[0]


@pytest.mark.parametrize("kind", [Pgd, Apgd])
def test_the_l2_norm_is_named_and_decides_at_its_usual_size(kind, tmp_path):
    target = target_of(network())
    finding = kind(norm="l2", steps=3).run(WhiteBox(target), target.splits, context_of(tmp_path))
    assert finding.verdict.metric == "success_at_0.5"
    assert "by an L2 length of at most 0.5" in finding.verdict.sentence
    assert finding.figures[0].x_label.startswith("Epsilon (L2")


def test_apgd_sees_through_saturation_where_cross_entropy_is_blind(tmp_path):
    target = target_of(network(sharpness=1e5))
    rates = {}
    for loss in ("dlr", "cross-entropy"):
        attack = Apgd(epsilons=(0.3,), steps=5, loss=loss)
        finding = attack.run(WhiteBox(target), target.splits, context_of(tmp_path))
        rates[loss] = finding.metric("success_at_0.3").value
    assert rates["dlr"] == 1.0
    assert rates["cross-entropy"] < 0.7


def test_bad_input_is_one_sentence(tmp_path):
    all_wrong = target_of(network(), wrong=60)
    context = context_of(tmp_path)
    with pytest.raises(DataError, match="None of the 60 test images is classified correctly"):
        Pgd().run(WhiteBox(all_wrong), all_wrong.splits, context)
    with pytest.raises(UsageError, match=r"epsilon is 9; in the L2 norm"):
        Pgd(norm="l2", epsilons=(9,)).run(WhiteBox(all_wrong), all_wrong.splits, context)
    for epsilons in ((), (0.0,), (1.5,), (-0.1,), (float("nan"),)):
        with pytest.raises(ValueError, match="epsilon"):
            Pgd(epsilons=epsilons)

    class Detached(torch.nn.Module):
        def forward(self, images):
            return images.detach().flatten(1)[:, :CLASSES]

    detached = target_of(Detached())
    with pytest.raises(AccessError, match="cannot be differentiated"):
        Pgd().run(WhiteBox(detached), detached.splits, context)


def test_images_are_only_taken_from_the_test_set(tmp_path):
    target = target_of(network())
    finding = Pgd(max_images=20).run(WhiteBox(target), target.splits, context_of(tmp_path))
    assert len(finding.samples["row"]) == 20
    assert np.isin(finding.samples["row"], np.arange(60)).all()


class TooFar(FixedEpsilon):
    """Breaks the rules: leaves the ball, and the numbers."""

    name = "evasion.too_far"
    about = About("Too far", "Breaks the rules.", "None")

    def attack(self, box, images, labels, ball, generator):
        changed = 1.0 - images
        changed[0] = torch.nan
        return changed


def test_an_attack_that_leaves_the_ball_is_brought_back(tmp_path):
    target = target_of(network())
    method = TooFar(epsilons=(1e-6,))
    finding = check_finding(method.run(WhiteBox(target), target.splits, context_of(tmp_path)), method.name, tmp_path)
    assert finding.metric("success_at_1e-06").value == 0.0
    assert (
        TooFar(epsilons=(1.0,)).run(WhiteBox(target), target.splits, context_of(tmp_path)).metric("success_at_1").value
        > 0
    )
