"""Data-free extraction: a generator makes the questions, taught by differences between two answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Answers
from assay.data.images import Shape
from assay.methods.stealing.strategies.strategy import STRATEGIES, Strategy
from assay.methods.stealing.thief import Thief
from assay.targets.target import Modality


@STRATEGIES.add("data-free")
class DataFree(Strategy):
    """No pool: a generator is trained to make images on which surrogate and target differ.

    Truong et al., "Data-free model extraction", CVPR 2021 (DFME). In every iteration one batch of images costs two
    questions each: the generator's images, and the same moved by ``difference`` in a random direction, from which the
    slope of the disagreement is estimated (their equation 5 with m = 1); ``passes`` further batches, at one question
    an image, teach the surrogate, one epoch over each. The disagreement is the L1 distance of log-probabilities, each
    less its mean over the classes. It is meant for budgets of millions; with thousands the copy stays poor.
    """

    name: ClassVar[str] = "data-free"
    modalities: ClassVar[tuple[Modality, ...]] = ("image",)
    needs_pool: ClassVar[bool] = False
    needs_posteriors: ClassVar[bool] = True
    trains_itself: ClassVar[bool] = True

    batch_size: int = Field(default=64, ge=1, description="Images the generator makes at a time.")
    passes: int = Field(default=5, ge=1, description="Batches that teach the surrogate in every iteration.")
    latent: int = Field(default=256, ge=1, description="Numbers that the generator makes an image from.")
    rate: float = Field(default=1e-4, gt=0.0, description="The generator's learning rate (Adam).")
    difference: float = Field(default=1e-3, gt=0.0, description="Length of the step of a forward difference.")

    def run(self, thief: Thief) -> None:
        """See `Strategy.run`."""
        random = thief.generator("data-free")
        generator = make_generator(self.latent, thief.input_shape, random).to(thief.device)
        optimiser = torch.optim.Adam(generator.parameters(), lr=self.rate)
        before = -1
        while thief.spent > before:
            before = thief.spent
            made = generator(self._noise(random).to(thief.device))
            slope = self._slope(thief, made.detach(), random)
            optimiser.zero_grad()
            made.backward(-slope)  # the generator raises the disagreement
            optimiser.step()
            for _ in range(self.passes):
                with torch.no_grad():
                    images = torch.sigmoid(generator(self._noise(random).to(thief.device)))
                thief.ask_about(images)
                thief.train(1, fresh=False, latest=len(images))

    def _noise(self, random: torch.Generator) -> torch.Tensor:
        return torch.randn(self.batch_size, self.latent, generator=random)

    def _slope(self, thief: Thief, made: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """The estimated gradient (n, c, h, w) of the mean disagreement by the generator's output before the sigmoid."""

        def rises(points: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(_disagreement(thief, torch.sigmoid(points)))

        return forward_differences(rises, made, self.difference, random)


def forward_differences(
    value: Callable[[torch.Tensor], torch.Tensor], points: torch.Tensor, step: float, random: torch.Generator
) -> torch.Tensor:
    """An estimate of the gradient (n, ...) of the mean of ``value`` (n,) by n points, from one direction each.

    Of d dimensions, d (f(x + step u) - f(x)) / step u, with u uniform on the unit sphere (DFME, equation 5, m = 1): its
    expectation is the gradient where f is linear within ``step``. ``value`` is asked about the points, then about those
    that are moved.
    """
    direction = torch.randn(points.shape, generator=random).to(points.device)
    direction /= direction.flatten(1).norm(dim=1).view(-1, *[1] * (points.ndim - 1))
    here = value(points)
    there = value(points + step * direction)
    rise = ((there - here) / step).to(points).view(-1, *[1] * (points.ndim - 1))
    return math.prod(points.shape[1:]) * rise * direction / len(points)


def make_generator(latent: int, shape: Shape, random: torch.Generator) -> torch.nn.Module:
    """A small convolutional generator from (n, ``latent``) to images (n, c, h, w) before their sigmoid."""
    channels, height, width = shape
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**31, (1,), generator=random)))
        quarter = (64, math.ceil(height / 4), math.ceil(width / 4))
        return torch.nn.Sequential(
            torch.nn.Linear(latent, math.prod(quarter)),
            torch.nn.Unflatten(1, quarter),
            torch.nn.BatchNorm2d(64),
            torch.nn.Upsample(scale_factor=2),
            torch.nn.Conv2d(64, 64, 3, padding=1),
            torch.nn.BatchNorm2d(64),
            torch.nn.LeakyReLU(0.2),
            torch.nn.Upsample(size=(height, width)),
            torch.nn.Conv2d(64, channels, 3, padding=1),
            torch.nn.BatchNorm2d(channels, affine=False),
        )


def _disagreement(thief: Thief, images: torch.Tensor) -> NDArray[np.float64]:
    answers = thief.ask_about(images)
    with torch.no_grad():
        own = torch.log_softmax(thief.surrogate.eval()(images).double(), 1).cpu().numpy()
    return disagreement(answers, own)


def disagreement(answers: Answers, own: NDArray[np.float64]) -> NDArray[np.float64]:
    """L1 distance (n,) of the answers' log-probabilities from the surrogate's (n, classes), both less their means.

    Posteriors of 0 count as 1e-7.
    """
    theirs = np.log(np.clip(answers.require_posteriors().astype(np.float64), 1e-7, None))
    distance: NDArray[np.float64] = np.abs(
        theirs - theirs.mean(1, keepdims=True) - own + own.mean(1, keepdims=True)
    ).sum(1)
    return distance
