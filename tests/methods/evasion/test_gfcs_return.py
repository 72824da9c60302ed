"""GFCS: back to the surrogate's gradient after a success, one surrogate after failures, along the ball's surface."""

from __future__ import annotations

import torch

from assay.access import Published, WhiteBox
from assay.methods.evasion.greedy import GreedyOptions, _slopes, gfcs, gfcs_from
from assay.methods.evasion.queries import QueryState
from assay.methods.evasion.surrogates import Committee
from assay.targets.target import Target
from methods.evasion.small import CLASSES, network, pictures
from methods.evasion.small import SHAPE as SMALL

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


def test_of_several_surrogates_all_lead_first_and_one_after_a_try_in_vain() -> None:
    boxes = [Published(Target.from_module(network(seed), input_shape=SMALL, num_classes=CLASSES)) for seed in (1, 2, 3)]
    points, wanted = pictures(30, 4), torch.tensor([1.0, -1.0, 0.3])
    vain = torch.arange(30) % 3

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return (logits * wanted).sum(dim=1)

    found = _slopes(Committee(boxes), points, loss, vain, torch.Generator().manual_seed(0))
    alone = torch.stack([box.gradient(points, lambda logits: loss(logits.log_softmax(dim=1)))[0] for box in boxes])
    off_mean = (found - alone.mean(dim=0)).flatten(1).norm(dim=1)
    off_each = (found - alone).flatten(2).norm(dim=2)
    assert float(off_mean[vain == 0].max()) < 1e-5
    nearest, drawn = off_each.min(dim=0)
    assert float(nearest[vain > 0].max()) < 1e-5
    assert set(drawn[vain > 0].tolist()) == {0, 1, 2}


def test_at_the_surface_of_the_l2_ball_a_step_is_not_undone_by_the_projection() -> None:
    points: list[torch.Tensor] = []

    def ask(images: torch.Tensor) -> torch.Tensor:
        points.append(images[0].clone())
        return torch.tensor([[9.0, 3.0, 1.0, 0.0]])

    options = GreedyOptions(max_queries=2, norm="l2", epsilon=0.05, step=0.2)
    state = QueryState(ask, torch.full((1, *SHAPE), 0.5), torch.tensor([0]), options)
    outwards = torch.tensor([-0.8, 0.6, 0.0, 0.0]).view(1, *SHAPE)
    state.points = state.images + 0.05 * outwards
    prior = WhiteBox(Target.from_module(Corners(), input_shape=SHAPE, num_classes=4))
    gfcs_from(state, prior, options, torch.Generator().manual_seed(0))
    moved = points[1] - state.points[0]
    assert 0.009 < float(moved.norm()) < 0.0101
    assert abs(float((moved * outwards).sum())) < 0.002
