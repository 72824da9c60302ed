"""The Square Attack's sizes follow the number of questions, and its L2 steps spend all of epsilon."""

from __future__ import annotations

import pytest
import torch

from assay.methods.evasion import square as attack
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.square import SquareOptions, square
from methods.evasion.small import SHAPE, network, pictures

WIDE = (3, 12, 12)


def published_share(initial: float, step: int, steps: int) -> float:
    """The share of the authors' code, table by table: 10,000 steps, or as many as there are."""
    place = step / steps * 10_000
    table = [(10, 1), (50, 2), (200, 4), (500, 8), (1000, 16), (2000, 32), (4000, 64), (6000, 128), (8000, 256)]
    for until, part in table:
        if place <= until:
            return initial / part
    return initial / 512


@pytest.mark.parametrize("cap", [20, 50, 400])
def test_the_schedule_is_stretched_to_the_cap(cap: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    step = attack.step
    monkeypatch.setattr(attack, "step", lambda *given: (seen.append(given[3]), step(*given))[1])
    images = pictures(1)
    # An answer that never changes lets the attack use all questions.
    never = torch.tensor([[5.0, 0.0, 0.0]])
    options = SquareOptions(max_queries=cap, norm="linf", epsilon=0.05, initial_share=0.8)
    found = square(lambda points: never.expand(len(points), -1), images, torch.tensor([0]), options, torch.Generator())
    assert found.queries.tolist() == [cap]
    assert seen == [published_share(0.8, number, cap) for number in range(1, cap - 1)]
    assert seen[-1] < 0.8 / 2**7


def test_a_share_of_a_small_image_is_at_least_a_pixel() -> None:
    module, images = network(), pictures(3)
    labels = module(images).argmax(1)
    options = SquareOptions(max_queries=30, norm="linf", epsilon=0.01, initial_share=1e-6)
    found = square(lambda points: module(points).detach(), images, labels, options, torch.Generator().manual_seed(0))
    assert found.adversarial.shape == (3, *SHAPE)


@pytest.mark.parametrize("share", [0.05, 0.3])
@pytest.mark.parametrize("spent", [0.2, 0.9])
def test_what_epsilon_leaves_goes_into_the_square(share: float, spent: float) -> None:
    """A change that is shorter than epsilon is lengthened in the squares alone, so that the rest keeps what it has."""
    generator = torch.Generator().manual_seed(1)
    images = torch.full((30, *WIDE), 0.5)
    change = torch.randn((30, *WIDE), generator=generator)
    change = spent * change / change.flatten(1).norm(dim=1)[:, None, None, None]
    found = attack.step(Ball("l2", 1.0), images, images + change, share, generator) - images
    assert torch.allclose(found.flatten(1).norm(dim=1), torch.ones(30), atol=1e-4)
    side = round((share * 144) ** 0.5) // 2 * 2 + 1
    moved = ((found - change).abs() > 1e-4).any(dim=1).sum(dim=(1, 2))
    assert int(moved.max()) <= 2 * max(3, side) ** 2
    assert int(moved.max()) < 144
