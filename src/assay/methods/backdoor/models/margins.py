"""The largest margins that a network can be driven to, label by label, from noise: no images are needed."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import WhiteBox
from assay.base.errors import AccessError
from assay.base.intervals import Floats
from assay.methods.backdoor.inversion.search import AT_ONCE

SETTLED = 1e-5
"""A label whose summed margin changes by a smaller share than this in a step has arrived."""


class Ascent(NamedTuple):
    """How margins are climbed: ``starts`` random images a label, at most ``steps`` steps of SGD with momentum.

    With ``unit_steps`` the gradient of each image is divided by its root mean square first, so that ``rate`` is the
    change of a typical pixel in a step, whatever the scale of the logits.
    """

    starts: int = 30
    steps: int = 300
    rate: float = 1e-2
    momentum: float = 0.2
    unit_steps: bool = False


class Margins(NamedTuple):
    """The largest margin of each label (labels,), and the image that reached it (labels, c, h, w) in [0, 1]."""

    values: Floats
    images: torch.Tensor


def margin(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The label's logit minus the largest other one, (n,), of logits (n, classes) and labels (n,)."""
    own = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return own[:, 0] - others.amax(1)


def largest_margins(box: WhiteBox, labels: NDArray[np.int64], ascent: Ascent, generator: torch.Generator) -> Margins:
    """Climb the margin of every one of ``labels`` (k,) from uniform noise (MM-BD, section 4.1), all in one batch.

    A label leaves the batch when it has settled. Unlike the reference, momentum is kept from step to step.

    Raises:
        AccessError: if a gradient is not finite, or all vanish.
    """
    shape = (len(labels), ascent.starts, *box.input_shape)
    images = torch.rand(shape, generator=generator)
    velocity = torch.zeros_like(images)
    best = torch.full((len(labels),), -torch.inf)
    reached = images[:, 0].clone()
    last = np.full(len(labels), np.inf)
    active = np.arange(len(labels))
    for step in range(ascent.steps):
        rows = torch.from_numpy(active)
        slopes, margins = _slopes(box, images[rows], torch.from_numpy(labels)[rows])
        if step == 0 and not slopes.any():
            raise AccessError("The network's gradient vanishes for every image, so that no margin can be climbed.")
        top = margins.max(1)
        fresh = top.values > best[rows]
        best[rows[fresh]] = top.values[fresh]
        reached[rows[fresh]] = images[rows[fresh], top.indices[fresh]].clamp(0, 1)
        total = margins.sum(1).double().numpy()
        with np.errstate(invalid="ignore"):
            settled = np.abs(total - last[active]) < SETTLED * np.abs(last[active])
        last[active] = total
        if ascent.unit_steps:
            slopes = slopes / slopes.square().mean((2, 3, 4), keepdim=True).sqrt().clamp_min(1e-12)
        velocity[rows] = ascent.momentum * velocity[rows] + slopes
        images[rows] += ascent.rate * velocity[rows]
        active = active[~(settled & np.isfinite(total))]
        if len(active) == 0:
            break
    return Margins(best.double().numpy(), reached)


def _slopes(box: WhiteBox, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients (k, starts, c, h, w) and margins (k, starts) of images clamped to [0, 1]."""
    wanted = labels.repeat_interleave(images.shape[1])
    flat = images.flatten(0, 1)
    clamped = flat.clamp(0, 1)
    inside = (flat >= 0) & (flat <= 1)
    slopes, margins = torch.empty_like(flat), torch.empty(len(flat))
    together = max(1, AT_ONCE // flat[0].numel())
    for start in range(0, len(flat), together):
        part = slice(start, start + together)
        gradient, logits = box.gradient(clamped[part], partial(margin, labels=wanted[part].to(box.device)))
        if not torch.isfinite(gradient).all():
            raise AccessError("The network's gradient is not finite, so that no margin can be climbed.")
        slopes[part], margins[part] = gradient * inside[part], margin(logits, wanted[part])
    return slopes.view_as(images), margins.view(images.shape[:2])
