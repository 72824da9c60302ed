"""Triggers that spread over the whole image, searched along a growing size: added overlays and smooth warps."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import WhiteBox
from assay.base.errors import AccessError
from assay.base.intervals import Floats
from assay.base.progress import Step
from assay.data.images import Shape
from assay.methods.backdoor.inversion.feed import Feed
from assay.methods.backdoor.inversion.search import AT_ONCE

MOMENTUM = 0.9
OVERSHOOT = 2.0
"""The step, as a multiple of how much the size grows; the excess is cut off by the size."""

LAST = 1 / 3
"""The share of the steps, at the largest sizes, over which the loss is averaged."""


class Change(Protocol):
    """A change of images that is linear in its variables, so that its size is their root mean square."""

    def start(self, arms: int, generator: torch.Generator) -> torch.Tensor:
        """Small variables (arms, ...) to start from."""
        ...

    def apply(self, variables: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) in [0, 1] under each arm's change, (arms, n, c, h, w)."""
        ...


class Overlay:
    """One image added to all, ``clip(image + overlay)``; sizes in pixel values, 0 to 1.

    Moosavi-Dezfooli et al., Universal adversarial perturbations, CVPR 2017; towards one label here.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def start(self, arms: int, generator: torch.Generator) -> torch.Tensor:
        """Nothing added: zeros."""
        return torch.zeros(arms, *self.shape)

    def apply(self, variables: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Images with each arm's overlay added, clipped to [0, 1]."""
        return (images + variables[:, None]).clamp(0, 1)


class Warp:
    """A smooth displacement of all pixels, as WaNet plants it (Nguyen and Tran, ICLR 2021); sizes in pixels.

    Variables are displacements (arms, 2, k, k) of ``knots`` x ``knots`` points, interpolated by bicubic splines.
    """

    def __init__(self, shape: Shape, knots: int = 4) -> None:
        self.shape, self.knots = shape, knots
        height, width = shape[1:]
        steps = (torch.linspace(-1, 1, width), torch.linspace(-1, 1, height))
        self.still = torch.stack(torch.meshgrid(*steps, indexing="xy"), -1)
        self.per_pixel = torch.tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)])

    def start(self, arms: int, generator: torch.Generator) -> torch.Tensor:
        """A hundredth of a pixel, at random."""
        return 0.01 * torch.randn(arms, 2, self.knots, self.knots, generator=generator)

    def apply(self, variables: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Beyond the border the image continues as at its edge."""
        interpolate, sample = torch.nn.functional.interpolate, torch.nn.functional.grid_sample
        moved = interpolate(variables, self.shape[1:], mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
        grids = self.still + moved * self.per_pixel
        arms, count = len(variables), len(images)
        flat = images.repeat(arms, 1, 1, 1), grids.repeat_interleave(count, 0)
        warped = sample(*flat, mode="bilinear", padding_mode="border", align_corners=True)
        return warped.view(arms, count, *self.shape)


class Grown(NamedTuple):
    """The change (arms, ...) of each label at the largest size, and its mean cross-entropy near there (arms,)."""

    variables: torch.Tensor
    loss: Floats


def grow(
    box: WhiteBox,
    change: Change,
    labels: NDArray[np.int64],
    feed: Feed,
    steps: int,
    reach: float,
    generator: torch.Generator,
    bar: Step,
) -> Grown:
    """Lower the cross-entropy towards each of ``labels`` (arms,) while the size grows evenly to ``reach``.

    Every step follows the mean gradient over one batch, with momentum and a length of its own for each label; what
    exceeds the size of the step is scaled back.

    Raises:
        AccessError: if a gradient is not finite.
    """
    variables = change.start(len(labels), generator)
    velocity = torch.zeros_like(variables)
    losses = []
    for step in range(steps):
        size = reach * (step + 1) / steps
        slope, loss = _slope(box, change, variables, labels, feed.take(1)[0])
        losses.append(loss)
        velocity = MOMENTUM * velocity + slope / _size(slope)
        variables = variables - OVERSHOOT * reach / steps * velocity / _size(velocity)
        variables = variables * (size / _size(variables)).clamp(max=1)
        bar.advance()
    return Grown(variables, np.mean(losses[-max(1, round(LAST * steps)) :], axis=0))


def _size(variables: torch.Tensor) -> torch.Tensor:
    """Root mean square of each arm, shaped to divide by; never 0."""
    size = variables.flatten(1).square().mean(1).sqrt().clamp_min(1e-12)
    return size.view(-1, *[1] * (variables.dim() - 1))


def _slope(
    box: WhiteBox, change: Change, variables: torch.Tensor, labels: NDArray[np.int64], images: torch.Tensor
) -> tuple[torch.Tensor, Floats]:
    slopes, losses = torch.empty_like(variables), np.zeros(len(labels))
    together = max(1, AT_ONCE // images.numel())
    for start in range(0, len(labels), together):
        part = slice(start, start + together)
        own = variables[part].clone().requires_grad_(True)
        changed = change.apply(own, images)
        wanted = torch.from_numpy(labels[part]).repeat_interleave(len(images)).to(box.device)
        loss = partial(torch.nn.functional.cross_entropy, target=wanted, reduction="none")
        gradient, logits = box.gradient(changed.detach().flatten(0, 1), loss)
        if not torch.isfinite(gradient).all():
            raise AccessError("The network's gradient is not finite, so that no trigger can be searched for.")
        (slopes[part],) = torch.autograd.grad(changed, own, gradient.view_as(changed))
        losses[part] = loss(logits.to(box.device)).view(len(own), -1).mean(1).cpu().numpy()
    return slopes, losses
