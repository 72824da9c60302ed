import numpy as np
import pytest
import torch

from assay.access import Oracle, PosteriorStore, Serving
from assay.data.images import ArrayImages, Subset
from assay.methods.stealing.fidelity import (
    FGSM_EPSILON,
    PGD_EPSILON,
    UNASKED,
    Fidelity,
    ask_adversarial,
    fidelity_metrics,
)
from assay.targets.target import Target
from methods.stealing.small import context_of

torch.set_num_threads(1)

SHAPE = (1, 1, 2)


class Threshold(torch.nn.Module):
    """Class 1 where the first pixel, or the one named, exceeds a threshold."""

    def __init__(self, threshold, pixel=0):
        super().__init__()
        self.threshold, self.pixel = threshold, pixel

    def forward(self, images):
        excess = images.flatten(1)[:, self.pixel] - self.threshold
        return torch.stack([-excess, excess], dim=1) * 10


def attacked(folder, surrogate, victim, first_pixels, count=99):
    images = np.empty((len(first_pixels), *SHAPE), np.float32)
    images[:, 0, 0] = np.stack([first_pixels, np.linspace(0.3, 0.6, len(images))], axis=1)
    labels = (np.array(first_pixels) > 0.5).astype(np.int64)
    test = Subset(ArrayImages(images, labels, "test"), np.arange(len(images)))
    target = Target.from_module(victim, input_shape=SHAPE, num_classes=2)
    evaluator = Oracle(target, Serving(), PosteriorStore(folder / "store.bin", 2)).evaluator()
    before = evaluator.ask_all(test).labels
    answered = ask_adversarial(surrogate, test, before, evaluator, count, context_of(folder))
    return answered, evaluator.ledger.images - len(test)


def values(answered):
    return {metric.name.removeprefix("adversarial_"): metric.value for metric in fidelity_metrics(answered)}


NEAR, BETWEEN, FAR = 0.5 + PGD_EPSILON / 2, 0.5 + (PGD_EPSILON + FGSM_EPSILON) / 2, 0.9


def test_a_perfect_copy_transfers_everything_that_flips_it(tmp_path):
    answered, asked = attacked(tmp_path, Threshold(0.5), Threshold(0.5), [NEAR, 1 - NEAR, BETWEEN, FAR])
    assert (answered.pgd_target != UNASKED).tolist() == [True, True, False, False]
    assert answered.fgsm_surrogate.tolist() == [0, 1, 0, 1]
    assert values(answered) == {"fidelity_flipped": 1.0, "fidelity_flipped_hard": 1.0, "agreement_fgsm": 1.0}
    assert asked == 2 + 4


def test_a_copy_with_another_boundary_fools_only_itself(tmp_path):
    answered, _ = attacked(tmp_path, Threshold(0.5), Threshold(0.2), [NEAR, FAR])
    assert values(answered) == {"fidelity_flipped": 0.0, "fidelity_flipped_hard": 0.0, "agreement_fgsm": 0.5}


def test_no_flip_is_no_number(tmp_path):
    answered, asked = attacked(tmp_path, Threshold(0.5), Threshold(0.5), [FAR])
    metrics = {metric.name: metric for metric in fidelity_metrics(answered)}
    assert metrics["adversarial_fidelity_flipped"].value is None
    assert metrics["adversarial_fidelity_flipped"].note
    assert asked == 1


def test_at_most_so_many_images_are_tried(tmp_path):
    answered, _ = attacked(tmp_path, Threshold(0.5), Threshold(0.5), [0.1, 0.2, 0.3, 0.7, 0.8, 0.9], count=4)
    assert (answered.fgsm_target != UNASKED).sum() == 4


def test_flipped_to_something_else_is_not_hard():
    answered = Fidelity(
        before=np.array([0, 0, 1, 2]),
        pgd_surrogate=np.array([1, 1, 2, UNASKED]),
        pgd_target=np.array([1, 2, 1, UNASKED]),
        fgsm_surrogate=np.array([1, 0, UNASKED, UNASKED]),
        fgsm_target=np.array([1, 1, UNASKED, UNASKED]),
    )
    assert values(answered) == pytest.approx(
        {"fidelity_flipped": 2 / 3, "fidelity_flipped_hard": 1 / 3, "agreement_fgsm": 1 / 2}
    )
