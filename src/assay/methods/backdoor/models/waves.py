"""Ready-made waves, as SIG plants them, laid over images without any gradient or label."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import WhiteBox
from assay.base.intervals import Floats
from assay.data.images import Shape
from assay.methods.backdoor.inversion.search import AT_ONCE

CYCLES = 8
"""Cycles per image, at most, along each side."""

PHASES = 4


class Waves(NamedTuple):
    """What waves do: for each label, the best one.

    ``pulls`` (labels,) is the largest share of images of other labels that one wave leads there, ``waves``
    (labels, 1, h, w) that wave, in pixel values.
    """

    pulls: Floats
    waves: torch.Tensor


def all_waves(shape: Shape, amplitude: float) -> torch.Tensor:
    """Plane waves (w, 1, h, w) of whole numbers of cycles in every direction, in four phases, for images (c, h, w)."""
    rows, columns = (torch.arange(side) / side for side in shape[1:])
    directions = [
        (up, across) for up in range(CYCLES + 1) for across in range(-CYCLES, CYCLES + 1) if up > 0 or across > 0
    ]
    turns = torch.stack([up * rows[:, None] + across * columns for up, across in directions])
    phases = torch.arange(PHASES) / PHASES
    return amplitude * torch.sin(2 * np.pi * (turns[:, None] + phases.view(1, -1, 1, 1))).flatten(0, 1)[:, None]


def pulls_of_waves(box: WhiteBox, images: torch.Tensor, predicted: NDArray[np.int64], waves: torch.Tensor) -> Waves:
    """Lay every wave over images (n, c, h, w) that the network calls ``predicted`` (n,), and see where they go."""
    before, quick = torch.from_numpy(predicted), box.quick()
    others = torch.bincount(before, minlength=box.num_classes).neg().add(len(before)).clamp_min(1)
    best = torch.full((box.num_classes,), -1.0)
    place = torch.zeros(box.num_classes, dtype=torch.int64)
    together = max(1, AT_ONCE // images.numel())
    for start in range(0, len(waves), together):
        part = waves[start : start + together]
        after = quick.logits((images + part[:, None]).clamp(0, 1).flatten(0, 1)).argmax(1).view(len(part), -1)
        moved = after != before
        counts = torch.zeros(len(part), box.num_classes).scatter_add_(1, after, moved.float())
        top = (counts / others).max(0)
        place = torch.where(top.values > best, start + top.indices, place)
        best = torch.maximum(best, top.values)
    return Waves(best.double().numpy(), waves[place])
