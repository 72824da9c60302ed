"""Transfer is measured from the sibling to the model, and the other way under its own name."""

from __future__ import annotations

import numpy as np
import torch

from assay.access import WhiteBox
from assay.methods.evasion.ball import Ball
from assay.methods.siblings.comparison import Pair, compare, similarity_metrics
from assay.targets.target import Target
from methods.siblings.pairs import box, digits


class Flat(torch.nn.Module):
    """Answers as a network does, with gradients of 0: nothing is learned from it, and what fools the one fools both."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images).detach() + 0.0 * images.flatten(1).sum(dim=1, keepdim=True)


def test_a_sibling_without_gradients_fools_nobody_and_is_fooled() -> None:
    test = digits().splits.non_members
    assert test is not None
    module = digits().module
    assert module is not None
    images, labels = test.take(np.arange(60)), torch.from_numpy(test.labels[:60])
    flat = WhiteBox(Target.from_module(Flat(module), input_shape=(1, 8, 8), num_classes=10))
    compared = compare(Pair(box(), flat, images, labels), Ball("l2", 1.5))
    found = {metric.name: metric.value for metric in similarity_metrics(compared, 0)}
    assert found["transfer_to_target"] == 0.0
    assert found["transfer_from_target"] is not None
    assert found["transfer_from_target"] > 0.8
