"""Folded copies: the same answers and gradients, and none where that cannot be had."""

import pytest
import torch

from assay.access import WhiteBox
from assay.access.whitebox import UNFOLDED
from assay.targets import folded as folding
from assay.targets.folded import channels_last, folded
from assay.targets.target import Target

SHAPE = (3, 8, 8)


def network(head):
    """A convolution with batch normalisation that differs from none, and a head."""
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(6)
    with torch.no_grad():
        for values in (norm.weight, norm.running_var):
            values.uniform_(0.5, 2.0)
        for values in (norm.bias, norm.running_mean):
            values.normal_()
    return torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), norm, torch.nn.ReLU(), head).eval().requires_grad_(False)


class Viewed(torch.nn.Module):
    """A head that reads memory as it lies, which channels last forbid."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(216, 4)

    def forward(self, features):
        """Logits."""
        return self.linear(features.view(-1, 216))


class Branching(torch.nn.Module):
    """A head that looks at values, which cannot be traced."""

    def forward(self, features):
        """Logits."""
        return features.mean((2, 3)) if features.mean() > 0 else features.amax((2, 3))


class Random(torch.nn.Module):
    """A head with noise of its own."""

    def forward(self, features):
        """Logits."""
        return features.mean((2, 3)) + torch.rand(6)


def flattened():
    """A head that is as it should be."""
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(216, 4))


def test_a_folded_copy_answers_and_slopes_as_the_network():
    module = network(flattened())
    copy = folded(module, SHAPE)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in copy.modules())
    assert any(isinstance(layer, torch.nn.BatchNorm2d) for layer in module.modules())
    images = torch.rand(5, *SHAPE)
    torch.testing.assert_close(copy(channels_last(images)), module(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", [Viewed(), Branching(), Random()])
def test_no_copy_of_what_cannot_be_folded(head):
    assert folded(network(head), SHAPE) is None


def test_no_copy_without_convolutions():
    assert folded(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4)), SHAPE) is None


def test_a_copy_that_answers_otherwise_is_not_used(monkeypatch):
    monkeypatch.setattr(folding, "fuse", lambda module: network(flattened()))
    other = network(flattened())
    with torch.no_grad():
        other[0].bias += 0.1
    assert folded(other, SHAPE) is None


def test_a_white_box_goes_over_to_the_copy_and_notices_another_network():
    """Gradients stay those of the network, also of one that takes its place."""
    box = WhiteBox(Target.from_module(network(flattened()), input_shape=SHAPE, num_classes=4))
    images = torch.rand(UNFOLDED, *SHAPE)

    def slope():
        return box.gradient(images, lambda logits: logits[:, 0])[0]

    before = slope()
    after = slope()
    assert after.is_contiguous()
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-6)
    assert box._quickest() is not None
    box.module = torch.nn.Sequential(Doubled(), box.module)
    torch.testing.assert_close(slope(), 2 * before, rtol=1e-4, atol=1e-6)
    assert box.ledger.gradients == 3 * UNFOLDED


class Doubled(torch.nn.Module):
    """Images as they are, with twice their gradient."""

    def forward(self, images):
        """The images."""
        return 2 * images - images.detach()
