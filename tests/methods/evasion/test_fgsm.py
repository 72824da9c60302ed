import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.access import WhiteBox
from assay.base.errors import AccessError, DataError
from assay.base.intervals import clopper_pearson
from assay.data.splits import Splits
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.fgsm import Fgsm
from assay.methods.evasion.gradients import fgsm_step, loss_gradient
from assay.methods.evasion.results import Attacked, evasion_metrics, verdict
from assay.targets.target import Target
from methods.evasion.small import CLASSES, SHAPE, context_of, network, pictures, target_of
from oracles.evasion import fgsm, success_rate


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), epsilon=st.floats(0.001, 1.0))
def test_the_step_against_one_image_and_pixel_at_a_time(seed, epsilon):
    module, images = network(seed), pictures(4, seed)
    labels = torch.tensor([0, 1, 2, 0])
    box = WhiteBox(Target.from_module(module, input_shape=SHAPE, num_classes=CLASSES))
    adversarial = fgsm_step(images, loss_gradient(box, images, labels), Ball("linf", epsilon))
    for image, label, found in zip(images, labels.tolist(), adversarial, strict=True):
        assert torch.allclose(found, fgsm(module, image, label, epsilon), atol=1e-6)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), epsilon=st.floats(0.0, 1.0))
def test_steps_stay_in_range_and_within_epsilon(seed, epsilon):
    images, generator, ball = pictures(3, seed), torch.Generator().manual_seed(seed), Ball("linf", epsilon)
    gradient = torch.randn(images.shape, generator=generator) * (torch.rand(images.shape, generator=generator) > 0.2)
    for changed in (fgsm_step(images, gradient, ball), ball.surface(images, generator)):
        assert float(changed.min()) >= 0.0
        assert float(changed.max()) <= 1.0
        assert float((changed - images).abs().max()) <= epsilon + 1e-6
    assert torch.equal(fgsm_step(images, gradient, ball)[gradient == 0], images[gradient == 0])


def test_success_rates_against_the_slow_attack(tmp_path):
    module = network()
    target = target_of(module)
    box = WhiteBox(target)
    finding = Fgsm(epsilons=(0.02, 0.1, 0.3)).run(box, target.splits, context_of(tmp_path))
    images, labels = target.splits.non_members.take(np.arange(60)), target.splits.non_members.labels
    rates = []
    for epsilon in (0.02, 0.1, 0.3):
        success = finding.metric(f"success_at_{epsilon}")
        rates.append(success_rate(module, images, labels.tolist(), epsilon))
        assert success.value == pytest.approx(rates[-1])
        assert success.n == 50
        assert success.interval.high == pytest.approx(clopper_pearson(round(50 * rates[-1]), 50).high)
        assert finding.metric(f"accuracy_at_{epsilon}").value == pytest.approx(50 * (1 - rates[-1]) / 60)
    assert 0 < rates[0] < rates[2]
    assert finding.metric("clean_accuracy").value == pytest.approx(50 / 60)
    assert finding.metric("vanishing_gradients").value == 0.0
    assert finding.verdict.metric == "success_at_0.02"
    assert box.ledger.images == 60 + 50 * 6
    assert box.ledger.gradients == 50
    fooled = finding.samples["predicted_at_0.1"] != finding.samples["label"]
    assert fooled.sum() == 10 + round(50 * rates[1])


def test_pictures_and_curve_are_consistent(tmp_path):
    target = target_of(network())
    finding = Fgsm().run(WhiteBox(target), target.splits, context_of(tmp_path, class_names=("cat", "dog", "owl")))
    curve, gallery = finding.figures
    assert curve.series[0].x == [0.0, 0.01, 0.03, 0.1]
    assert all(len(line.low) == len(line.high) == len(line.y) == 4 for line in curve.series)
    assert curve.series[0].y[-1] == finding.metric("accuracy_at_0.1").value
    assert all((tmp_path / name).exists() for row in gallery.files for name in row)
    assert "→" in gallery.rows[0]
    assert set(gallery.rows[0].split(" → ")) <= {"cat", "dog", "owl"}


def test_a_saturated_network_is_not_called_robust(tmp_path):
    target = target_of(network(sharpness=1e5))
    finding = Fgsm().run(WhiteBox(target), target.splits, context_of(tmp_path))
    assert finding.metric("vanishing_gradients").value > 0.5
    assert "the gradient vanishes, so that other attacks may do better" in finding.verdict.sentence


def test_the_number_of_images_is_capped(tmp_path):
    target = target_of(network())
    finding = Fgsm(max_images=20).run(WhiteBox(target), target.splits, context_of(tmp_path))
    assert finding.metric("clean_accuracy").n == len(finding.samples["row"]) == 20


def test_epsilons_are_checked_and_put_in_order():
    assert Fgsm(epsilons=[0.1, 0.01, 0.1]).epsilons == (0.01, 0.1)
    for wrong in ((), (0.0,), (1.5,), (-0.1,), (float("nan"),)):
        with pytest.raises(ValidationError):
            Fgsm(epsilons=wrong)


def test_bad_input_is_one_sentence(tmp_path):
    module = network()
    all_wrong = target_of(module, wrong=60)
    with pytest.raises(DataError, match="None of the 60 test images is classified correctly"):
        Fgsm().run(WhiteBox(all_wrong), all_wrong.splits, context_of(tmp_path))
    with pytest.raises(DataError, match="needs test images"):
        Fgsm().run(WhiteBox(all_wrong), Splits(), context_of(tmp_path))


def test_gradients_that_are_not_numbers_are_one_sentence(tmp_path):
    class Broken(torch.nn.Module):
        def forward(self, images):
            flat = images.flatten(1)[:, :3]
            return flat + torch.sqrt(flat * 0.0)

    target = target_of(Broken())
    with pytest.raises(AccessError, match="NaN or infinite"):
        Fgsm().run(WhiteBox(target), target.splits, context_of(tmp_path))


@pytest.mark.parametrize(
    ("fooled", "level"),
    [(900, "high"), (520, "elevated"), (130, "elevated"), (95, "undecided"), (50, "low"), (0, "low")],
)
def test_the_verdict_goes_by_the_bounds_at_the_usual_size(fooled, level):
    true = np.zeros(1000, np.int64)
    after = {e: np.zeros(1000, np.int64) for e in (0.01, 0.03, 0.1)}
    after[0.03][:fooled] = 1
    after[0.1][:] = 1
    attacked = Attacked(3, true, true, after, dict.fromkeys(after, true), "linf", np.arange(1000))
    found = verdict(evasion_metrics(attacked), attacked, "An attack")
    assert (found.level, found.metric) == (level, "success_at_0.03")
    assert "7.65 of 255 grey levels" in found.sentence
    assert verdict(evasion_metrics(attacked), attacked._replace(channels=1), "An attack").metric == "success_at_0.1"
