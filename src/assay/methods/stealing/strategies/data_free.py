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
from assay.training import Recipe

STUDENT = Recipe(optimiser="sgd", learning_rate=0.1, momentum=0.9, weight_decay=5e-4, mixed_precision=False)
"""The surrogate's optimiser in DFME's code."""

MILESTONES = (0.1, 0.3, 0.5)
"""Shares of the budget after which both rates fall, as in DFME's code."""

SMALLEST = 1e-7
"""What posteriors of 0 count as."""


@STRATEGIES.add("data-free")
class DataFree(Strategy):
    """No pool: a generator is trained to make images on which surrogate and target differ.

    Truong et al., "Data-free model extraction", CVPR 2021 (DFME), trained as by its authors' code. In every iteration
    one batch of images costs two questions each: the generator's images, and the same moved by ``difference`` in a
    random direction, from which the slope of the disagreement is estimated (their equation 5 with m = 1); ``passes``
    further batches, at one question an image, teach the surrogate, one step each. Both minimise or maximise the L1
    distance of logits, each less their mean over the classes (equation 3); the target's are the logarithms of its
    posteriors, which are its logits up to that mean. The surrogate's optimiser is one SGD with momentum 0.9 and weight
    decay 5e-4 over all steps, the generator's one Adam; both rates are multiplied by ``drop`` after 10, 30 and 50 % of
    the budget. The theft's learner, rate, epochs and augmentation do not count here, and answers are not kept: an
    iteration takes as long in the end as in the beginning, and no more memory but 32 bytes a question to tell known
    images by. It is meant for budgets of millions; with thousands the copy stays poor.

    Their generator has two blocks of 128 and 64 channels, their batches 256 images.
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
    student_rate: float = Field(default=0.1, ge=0.0, description="The surrogate's learning rate (SGD).")
    drop: float = Field(default=1.0, gt=0.0, le=1.0, description="What rates are multiplied by at each milestone.")
    difference: float = Field(default=1e-3, gt=0.0, description="Length of the step of a forward difference.")

    def run(self, thief: Thief) -> None:
        random = thief.generator("data-free")
        generator = make_generator(self.latent, thief.input_shape, random).to(thief.device)
        optimiser = torch.optim.Adam(generator.parameters(), lr=self.rate)
        student = thief.steps(STUDENT, l1_loss)
        before = -1
        while thief.spent > before:
            before = thief.spent
            share = self.drop ** sum(before >= at * thief.budget for at in MILESTONES)
            for group in optimiser.param_groups:
                group["lr"] = share * self.rate
            made = generator(self._noise(random).to(thief.device))
            slope = self._slope(thief, made.detach(), random)
            optimiser.zero_grad()
            made.backward(-slope)  # the generator raises the disagreement
            optimiser.step()
            for _ in range(self.passes):
                with torch.no_grad():
                    images = torch.sigmoid(generator(self._noise(random).to(thief.device)))
                taught = log_posteriors(thief.ask_about(images, keep=False))
                thief.surrogate.train()
                student.take(images, taught.to(thief.device), share * self.student_rate)
                thief.surrogate.eval()

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


def log_posteriors(answers: Answers) -> torch.Tensor:
    """Logarithms of posteriors float32 (n, classes), each less their mean over the classes."""
    logs = torch.from_numpy(answers.require_posteriors()).double().clamp_min(SMALLEST).log()
    return centred(logs).float()


def centred(logits: torch.Tensor) -> torch.Tensor:
    """Logits (n, classes) less their mean over the classes."""
    return logits - logits.mean(dim=1, keepdim=True)


def l1_loss(module: torch.nn.Module, images: torch.Tensor, taught: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean over images and classes of the distance of centred logits from those taught (n, classes)."""
    logits = module(images)
    return (centred(logits) - taught).abs().mean(), logits


def _disagreement(thief: Thief, images: torch.Tensor) -> NDArray[np.float64]:
    answers = thief.ask_about(images, keep=False)
    with torch.no_grad():
        own = thief.surrogate.eval()(images).double().cpu().numpy()
    return disagreement(answers, own)


def disagreement(answers: Answers, own: NDArray[np.float64]) -> NDArray[np.float64]:
    """L1 distance (n,) of the answers' log-probabilities from the surrogate's logits (n, classes), both centred.

    Posteriors of 0 count as 1e-7.
    """
    theirs = np.log(np.clip(answers.require_posteriors().astype(np.float64), SMALLEST, None))
    distance: NDArray[np.float64] = np.abs(
        theirs - theirs.mean(1, keepdims=True) - own + own.mean(1, keepdims=True)
    ).sum(1)
    return distance
