"""Seconds before they are spent: how long forwards, gradients and training steps take on this model and machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from assay.base.errors import AssayError
from assay.methods.work import Sizes, Work
from assay.targets.architectures import build
from assay.targets.target import Target
from assay.training.engine import fit
from assay.training.recipe import Recipe

BATCH = 64
"""Images in a timed batch: the size at which most methods work."""
LEAST = 0.15
"""Seconds for which each kind of work is timed; one batch is timed in any case, after one that is not."""
OVERHEAD = 0.3
"""Seconds that a trial takes beside its work: digests, pictures, files."""


@dataclass
class Calibration:
    """Seconds per image of one target on one device; training is timed when an architecture is first asked for."""

    target: Target
    forward: float
    gradient: float | None
    trained: dict[str, float | None] = field(default_factory=dict)

    def seconds(self, work: Work) -> float | None:
        """How long a piece of work will take; None if it holds what this target or machine cannot do."""
        forwards = work.forwards + work.members + work.non_members + work.auxiliary
        total = OVERHEAD + work.seconds + forwards * self.forward
        if work.gradients:
            if self.gradient is None:
                return None
            total += work.gradients * self.gradient
        if work.training:
            step = self._training(work.trains)
            if step is None:
                return None
            total += work.training * step
        return total

    def _training(self, architecture: str) -> float | None:
        if architecture not in self.trained:
            self.trained[architecture] = _time_training(self.target, architecture)
        return self.trained[architecture]


def calibrate(target: Target) -> Calibration:
    """Time the target itself; a second or so for a small network.

    Raises:
        AssayError: if it does not answer.
    """
    images = torch.rand(BATCH, *target.input_shape, generator=torch.Generator().manual_seed(0))
    forward = _per_image(lambda: target.logits(images))
    gradient = None
    if target.module is not None:
        module = target.module

        def back() -> None:
            inputs = images.to(target.device).requires_grad_(True)
            torch.autograd.grad(module(inputs).max(dim=1).values.sum(), inputs)

        gradient = _per_image(back)
    return Calibration(target, forward, gradient)


def sizes(target: Target) -> Sizes:
    """The sizes that methods count their work by."""
    parts = {name: 0 if part is None else len(part) for name, part in target.splits._asdict().items()}
    return Sizes(**parts, classes=target.num_classes)


def _per_image(work: Callable[[], object]) -> float:
    """Seconds an image, the median of repetitions that take `LEAST` seconds together."""
    work()
    times: list[float] = []
    while not times or sum(times) < LEAST:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return float(np.median(times)) / BATCH


def _time_training(target: Target, architecture: str) -> float | None:
    try:
        with torch.random.fork_rng(devices=[]):
            network = build(architecture, target.num_classes, target.input_shape)
    except AssayError:
        return None
    images = torch.rand(4 * BATCH, *target.input_shape, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(len(images), dtype=torch.int64)
    recipe = Recipe(epochs=1, batch_size=BATCH, optimiser="adam", learning_rate=1e-4, schedule="constant")
    fit(network, images[:BATCH], labels[:BATCH], recipe, seed=0, device=target.device)
    began = time.perf_counter()
    fit(network, images, labels, recipe, seed=0, device=target.device)
    return (time.perf_counter() - began) / len(images)
