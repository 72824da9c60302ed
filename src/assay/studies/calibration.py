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
from assay.targets.folded import folded
from assay.targets.target import Target
from assay.training.engine import fit
from assay.training.recipe import Recipe

BATCH = 64
"""Images in a timed batch: the size at which most methods work."""
LEAST = 0.15
"""Seconds for which each kind of work is timed; one batch is timed in any case, after one that is not."""
LONGEST = 1.0
"""Seconds that a batch may take; where it would take more, `FEW` images are timed."""
FEW = 4
OVERHEAD = 0.1
"""Seconds that a trial takes beside its work: digests, pictures, files."""


@dataclass
class Calibration:
    """Seconds per image of one target on one device; training is timed when an architecture is first asked for."""

    target: Target
    forward: float
    gradient: float | None
    trained: dict[tuple[str, int], float | None] = field(default_factory=dict)

    def seconds(self, work: Work) -> float | None:
        """How long a piece of work will take; None if it holds what this target or machine cannot do."""
        forwards = work.forwards + work.members + work.non_members + work.auxiliary
        total = OVERHEAD + work.seconds + forwards * self.forward
        if work.gradients:
            if self.gradient is None:
                return None
            total += work.gradients * self.gradient
        if work.training:
            step = self._training(work.trains, work.side)
            if step is None:
                return None
            total += work.training * step
        return total

    def _training(self, architecture: str, side: int) -> float | None:
        if (architecture, side) not in self.trained:
            self.trained[architecture, side] = _time_training(self.target, architecture, side)
        return self.trained[architecture, side]


def calibrate(target: Target) -> Calibration:
    """Time the target itself; a second or so for a small network.

    Raises:
        AssayError: if it does not answer.
    """
    few = torch.rand(FEW, *target.input_shape, generator=torch.Generator().manual_seed(0))
    target.logits(few)
    began = time.perf_counter()
    target.logits(few)
    slow = (time.perf_counter() - began) * BATCH / FEW > LONGEST
    images = few if slow else few.repeat(BATCH // FEW, 1, 1, 1)
    forward = _per_image(lambda: target.logits(images), len(images))
    gradient = None
    if target.module is not None and target.modality != "text":  # no gradient passes through a tokeniser
        module = (folded(target.module, target.input_shape) if target.device.type == "cpu" else None) or target.module

        def back() -> None:
            inputs = images.to(target.device).requires_grad_(True)
            torch.autograd.grad(module(inputs).max(dim=1).values.sum(), inputs)

        gradient = _per_image(back, len(images))
    return Calibration(target, forward, gradient)


def sizes(target: Target) -> Sizes:
    """The sizes that methods count their work by."""
    parts = {name: 0 if part is None else len(part) for name, part in target.splits._asdict().items()}
    return Sizes(**parts, classes=target.num_classes, shape=target.input_shape)


def _per_image(work: Callable[[], object], images: int) -> float:
    """Seconds an image, the median of repetitions that take `LEAST` seconds together."""
    work()
    times: list[float] = []
    while not times or sum(times) < LEAST:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return float(np.median(times)) / images


def _time_training(target: Target, architecture: str, side: int) -> float | None:
    channels, height, width = target.input_shape
    shape = (channels, min(height, side), min(width, side)) if side else target.input_shape
    try:
        with torch.random.fork_rng(devices=[]):
            network = build(architecture, target.num_classes, shape)
    except AssayError:
        return None
    images = torch.rand(4 * BATCH, *shape, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(len(images), dtype=torch.int64)
    recipe = Recipe(epochs=1, batch_size=BATCH, optimiser="adam", learning_rate=1e-4, schedule="constant")

    def seconds(count: int) -> float:
        began = time.perf_counter()
        fit(network, images[:count], labels[:count], recipe, seed=0, device=target.device)
        return (time.perf_counter() - began) / count

    seconds(BATCH)  # imports, and kernels that are compiled for a shape, are the first step's alone
    once = seconds(BATCH)
    return once if once * len(images) > 2 * LONGEST else seconds(len(images))
