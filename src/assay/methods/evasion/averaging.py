"""A network whose answers vary, followed through the mean of several of them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from assay.access import WhiteBox

DRAWS = 10
"""Answers that are averaged."""

VARYING = 1e-3
"""By what share of the largest logit two answers to one image must differ to count as varying: more than rounding."""


def varying(box: WhiteBox, images: torch.Tensor) -> torch.Tensor:
    """Which images (n,) get another answer when they are asked about twice."""
    first, second = box.logits(images), box.logits(images)
    size = torch.maximum(first.abs(), second.abs()).amax(dim=1)
    return (first - second).abs().amax(dim=1) > VARYING * size


class Averaged(WhiteBox):
    """The same network, logits and gradients averaged over several answers to each question, all of them counted.

    Expectation over transformation: Athalye, Engstrom, Ilyas and Kwok, "Synthesizing robust adversarial examples", ICML
    2018.
    """

    def __init__(self, box: WhiteBox, draws: int = DRAWS) -> None:
        """``draws`` answers are averaged."""
        self.__dict__.update(copy.copy(box).__dict__)
        self.draws = draws

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Mean logits (n, classes)."""
        return torch.stack([super(Averaged, self).logits(images) for _ in range(self.draws)]).mean(dim=0)

    def gradient(
        self, images: torch.Tensor, loss: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean gradients of the loss (n, c, h, w), and mean logits."""
        gradients, logits = zip(*(super(Averaged, self).gradient(images, loss) for _ in range(self.draws)), strict=True)
        return torch.stack(gradients).mean(dim=0), torch.stack(logits).mean(dim=0)

    def jacobian(self, images: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean gradients of the logits (n, k, c, h, w), and mean logits."""
        rows, logits = zip(*(super(Averaged, self).jacobian(images, classes) for _ in range(self.draws)), strict=True)
        return torch.stack(rows).mean(dim=0), torch.stack(logits).mean(dim=0)
