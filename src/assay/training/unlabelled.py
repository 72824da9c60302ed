"""Losses that learn from images without targets too (semi-supervised learning)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from assay.data.images import Images
from assay.training.feeding import Feed

Loss = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""From a network in training mode, images float32 (n, c, h, w) in [0, 1] and targets: the scalar to minimise (a mean
over the batch) and logits (n, classes), which the accuracy is counted from."""


class Done(NamedTuple):
    """How many optimiser steps were taken, of how many."""

    step: int
    steps: int

    @property
    def share(self) -> float:
        """The fraction of all steps that is done, in [0, 1)."""
        return self.step / self.steps

    def ramp(self, steps: int) -> float:
        """Rises from 0 to 1 over the first ``steps``, however many there are in all."""
        return min(1.0, self.step / steps) if steps else 1.0


SemiLoss = Callable[
    [torch.nn.Module, torch.Tensor, torch.Tensor, torch.Tensor, Done], tuple[torch.Tensor, torch.Tensor]
]
"""A `Loss` that is also given unlabelled images float32 (m, c, h, w) in [0, 1], and how far training is."""


class SemiSupervised(NamedTuple):
    """A loss with the images that it draws on: ``ratio`` unlabelled ones for each of the batch.

    They are drawn anew for every batch, at random and with replacement, and handed out as they are: moving them is up
    to the loss.
    """

    loss: SemiLoss
    images: torch.Tensor | Images
    ratio: int = 1


StepLoss = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor, Done], tuple[torch.Tensor, torch.Tensor]]


def step_loss(loss: Loss | SemiSupervised, device: torch.device) -> StepLoss:
    """A loss of either kind as a function of network, images, targets and how far training is.

    Unlabelled images are drawn from the global generator, which the engine seeds for every epoch.

    Raises:
        DataError: if the unlabelled images are unusable.
    """
    if not isinstance(loss, SemiSupervised):
        return lambda module, images, targets, done: loss(module, images, targets)
    feed = Feed(loss.images, torch.zeros(len(loss.images), dtype=torch.int64), device)

    def with_unlabelled(
        module: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor, done: Done
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.randint(len(feed), (loss.ratio * len(images),))
        return loss.loss(module, images, targets, feed.take(rows.to(device)), done)

    return with_unlabelled
