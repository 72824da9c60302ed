"""How large a change may be: a ball around each image, cut with the pixels' range."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch

from assay.base.errors import UsageError
from assay.data.images import Shape

Norm = Literal["linf", "l2"]
AnyNorm = Literal["linf", "l2", "l1"]
"""Norms that attacks are usually defined for, and those that some are."""

USUAL_EPSILON: dict[AnyNorm, dict[int, float]] = {
    "linf": {1: 0.1, 3: 8 / 255},
    "l2": {1: 1.5, 3: 0.5},
    "l1": {1: 10.0, 3: 12.0},
}
"""The size, by norm and channels, at which attacks are usually compared: grey images such as MNIST's stand larger
changes than colour images such as CIFAR-10's."""


def usual_epsilon(norm: AnyNorm, channels: int) -> float:
    """`USUAL_EPSILON` of such images; other numbers of channels count as colour."""
    return USUAL_EPSILON[norm].get(channels, USUAL_EPSILON[norm][3])


class Ball(NamedTuple):
    """All changes of a norm of at most ``epsilon``, pixels in [0, 1]."""

    norm: AnyNorm
    epsilon: float

    @classmethod
    def around(cls, shape: Shape, norm: AnyNorm, epsilon: float | None) -> Ball:
        """The ball for images of a shape (c, h, w); without an epsilon the usual one.

        Raises:
            UsageError: if no two images are as far apart as epsilon.
        """
        farthest = diameter(norm, math.prod(shape))
        if epsilon is None:
            return cls(norm, min(usual_epsilon(norm, shape[0]), farthest))
        if not 0.0 < epsilon <= farthest:
            raise UsageError(
                f"epsilon is {epsilon:g}; in the {NAMES[norm]} norm it must lie above 0 and not above {farthest:g}, "
                "which is how far two images can be apart."
            )
        return cls(norm, epsilon)

    def project(self, points: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
        """Points (n, c, h, w) brought into the balls around images of that shape, then clipped to [0, 1]."""
        change = points - centres
        if self.norm == "l1":
            return centres + into_l1(change, centres, self.epsilon)
        if self.norm == "linf":
            change = change.clamp(-self.epsilon, self.epsilon)
        else:
            change = change * (self.epsilon / lengths(change).clamp_min(1e-12)).clamp_max(1.0)
        return (centres + change).clamp(0.0, 1.0)

    def sizes(self, changes: torch.Tensor) -> torch.Tensor:
        """Norms (n,) of changes (n, c, h, w)."""
        flat = changes.flatten(1)
        found: torch.Tensor = torch.linalg.vector_norm(flat, ord=ORDERS[self.norm], dim=1)
        return found

    def steepest(self, gradients: torch.Tensor) -> torch.Tensor:
        """The change of norm 1 that raises a linear function most: the sign, the unit gradient, or one pixel (L1)."""
        if self.norm == "l1":
            flat = gradients.flatten(1)
            first = flat.abs().argmax(dim=1, keepdim=True)
            return torch.zeros_like(flat).scatter(1, first, flat.gather(1, first).sign()).view_as(gradients)
        return gradients.sign() if self.norm == "linf" else unit(gradients)

    def tangent(self, directions: torch.Tensor, points: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
        """Directions (..., n, c, h, w) without what `project` undoes: in L2, at the surface, the way outwards."""
        if self.norm != "l2":
            return directions
        change = points - centres
        outwards = unit(change) * (lengths(change) >= NEAR * self.epsilon)
        return directions - (directions * outwards).sum(dim=(-3, -2, -1), keepdim=True) * outwards

    def inside(self, centres: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A random point in each ball.

        Uniform in the cube; in L2 a uniform direction and a uniform length; in L1 normal noise brought into the ball.
        """
        if self.norm == "l1":
            far = torch.randn(centres.shape, generator=generator).to(centres.device)
            return self.project(centres + far, centres)
        if self.norm == "linf":
            change = torch.rand(centres.shape, generator=generator) * 2 - 1
        else:
            length = torch.rand((len(centres), 1, 1, 1), generator=generator)
            change = length * unit(torch.randn(centres.shape, generator=generator))
        return (centres + self.epsilon * change.to(centres.device)).clamp(0.0, 1.0)

    def surface(self, centres: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Random noise of full size: every pixel moved by the same either way; in L2 a uniform direction."""
        if self.norm == "l1":
            change = (torch.randint(0, 2, centres.shape, generator=generator) * 2 - 1) / centres[0].numel()
        elif self.norm == "linf":
            change = (torch.randint(0, 2, centres.shape, generator=generator) * 2 - 1).float()
        else:
            change = unit(torch.randn(centres.shape, generator=generator))
        return (centres + self.epsilon * change.to(centres.device)).clamp(0.0, 1.0)


NAMES: dict[AnyNorm, str] = {"linf": "Linf", "l2": "L2", "l1": "L1"}

ORDERS: dict[AnyNorm, float] = {"linf": math.inf, "l2": 2, "l1": 1}

NEAR = 0.98
"""From this share of epsilon on a point counts as lying on the ball's surface."""


def diameter(norm: AnyNorm, pixels: int) -> float:
    """How far two images of so many pixels can be apart."""
    return {"linf": 1.0, "l2": math.sqrt(pixels), "l1": float(pixels)}[norm]


def into_l1(change: torch.Tensor, centres: torch.Tensor, epsilon: float | torch.Tensor) -> torch.Tensor:
    """The change nearest to ``change`` with an L1 norm of at most epsilon that keeps images (n, c, h, w) in [0, 1].

    Croce and Hein, "Mind the box: l1-APGD for sparse adversarial attacks on image classifiers", ICML 2021, proposition
    2.1. A pixel moves by min(room, |change| - s) where that is above 0, room being what its range leaves, and s >= 0 is
    the same for all pixels of an image: the smallest that keeps the norm. The norm is piecewise linear in s, with
    breakpoints where a pixel leaves its range's end and where it stops moving, so that s lies between two of them.
    ``epsilon`` is one number, or one an image (n,).
    """
    flat, centre = change.flatten(1), centres.flatten(1)
    size = flat.abs()
    room = torch.where(flat > 0, 1.0 - centre, centre).clamp_min(0.0)
    wanted = torch.as_tensor(epsilon, dtype=flat.dtype, device=flat.device).expand(len(flat))[:, None]
    held = torch.minimum(size, room)
    # From s = size - room on a pixel's part falls, until it is 0 at s = size.
    ends, order = torch.cat([size - held, size], dim=1).sort(dim=1)
    turns = torch.where(order < flat.shape[1], 1.0, -1.0).cumsum(dim=1)  # pixels that fall after each breakpoint
    falls = torch.nn.functional.pad(turns[:, :-1] * (ends[:, 1:] - ends[:, :-1]), (1, 0)).cumsum(dim=1)
    left = held.sum(dim=1, keepdim=True) - falls  # the norm with s at each breakpoint
    place = ((left > wanted).sum(dim=1, keepdim=True) - 1).clamp_min(0)
    over = (left.gather(1, place) - wanted) / turns.gather(1, place).clamp_min(1.0)
    s = torch.where(held.sum(dim=1, keepdim=True) > wanted, ends.gather(1, place) + over, 0.0)
    moved = torch.minimum((size - s).clamp_min(0.0), room)
    return (flat.sign() * moved).view_as(change)


def lengths(rows: torch.Tensor) -> torch.Tensor:
    """L2 norms of images (..., c, h, w), (..., 1, 1, 1)."""
    found: torch.Tensor = torch.linalg.vector_norm(rows, dim=(-3, -2, -1), keepdim=True)
    return found


def unit(rows: torch.Tensor) -> torch.Tensor:
    """Images (..., c, h, w) over their L2 norms; 0 stays 0."""
    return rows / lengths(rows).clamp_min(1e-20)
