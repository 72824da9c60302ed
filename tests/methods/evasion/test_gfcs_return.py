"""GFCS goes back to the surrogate's gradient as soon as a random direction has helped."""

from __future__ import annotations

import torch

from assay.access import WhiteBox
from assay.methods.evasion.greedy import GreedyOptions, gfcs
from assay.targets.target import Target

SHAPE = (1, 2, 2)


class Corners(torch.nn.Module):
    """Four classes; the logit of class k is pixel k, so that a gradient of logits is their weights."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


def tried(rises: list[bool]) -> list[torch.Tensor]:
    """Unit directions that GFCS tries about one image of class 0, whose second class is 1.

    The first answers are to the image; ``rises`` says of each try whether the loss rises.
    """
    points: list[torch.Tensor] = []
    height = 0.0

    def ask(images: torch.Tensor) -> torch.Tensor:
        nonlocal height
        points.append(images[0].clone())
        if len(points) > 1 and rises[len(points) - 2]:
            height += 1.0
        rose = len(points) == 1 or rises[len(points) - 2]
        # Class 1 stays second; a try in vain answers with a lower loss.
        return torch.tensor([[90.0 - height + (0 if rose else 5), 3.0, 1.0, 0.0]])

    prior = WhiteBox(Target.from_module(Corners(), input_shape=SHAPE, num_classes=4))
    options = GreedyOptions(max_queries=1 + len(rises), norm="l2", epsilon=0.05, step=0.01)
    gfcs(ask, torch.full((1, *SHAPE), 0.5), torch.tensor([0]), prior, options, torch.Generator().manual_seed(0))
    at, found = points[0], []
    for point, rose in zip(points[1:], rises, strict=True):
        found.append((point - at) / (point - at).norm())
        at = point if rose else at
    return found


def test_the_surrogate_is_asked_again_after_every_success() -> None:
    steady = torch.tensor([-1.0, 1.0, 0.0, 0.0]).view(SHAPE) / 2**0.5
    found = tried([False, False, True, False, False, False, True, True, True])
    along = [float((direction * steady).sum()) for direction in found]
    # Both ways in vain; a random direction helps; the gradient both ways again, in vain; a random one both ways, the
    # second of which helps; then the gradient, twice with success.
    signs = {0: 1.0, 1: -1.0, 3: 1.0, 4: -1.0, 7: 1.0, 8: 1.0}
    for place, cosine in enumerate(along):
        if place in signs:
            assert abs(cosine - signs[place]) < 1e-3, place
        else:
            assert abs(cosine) < 0.999, place
    assert float((found[5] + found[6]).norm()) < 1e-3
