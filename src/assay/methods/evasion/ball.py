"""How large a change may be: a ball around each image, cut with the pixels' range."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch

from assay.base.errors import UsageError
from assay.data.images import Shape

Norm = Literal["linf", "l2"]

USUAL_EPSILON: dict[Norm, dict[int, float]] = {"linf": {1: 0.1, 3: 8 / 255}, "l2": {1: 1.5, 3: 0.5}}
"""The size, by norm and channels, at which attacks are usually compared: grey images such as MNIST's stand larger
changes than colour images such as CIFAR-10's."""


def usual_epsilon(norm: Norm, channels: int) -> float:
    """`USUAL_EPSILON` of such images; other numbers of channels count as colour."""
    return USUAL_EPSILON[norm].get(channels, USUAL_EPSILON[norm][3])


class Ball(NamedTuple):
    """All changes of a norm of at most ``epsilon``, pixels in [0, 1]."""

    norm: Norm
    epsilon: float

    @classmethod
    def around(cls, shape: Shape, norm: Norm, epsilon: float | None) -> Ball:
        """The ball for images of a shape (c, h, w); without an epsilon the usual one.

        Raises:
            UsageError: if no two images are as far apart as epsilon.
        """
        farthest = 1.0 if norm == "linf" else math.sqrt(math.prod(shape))
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
        if self.norm == "linf":
            change = change.clamp(-self.epsilon, self.epsilon)
        else:
            change = change * (self.epsilon / lengths(change).clamp_min(1e-12)).clamp_max(1.0)
        return (centres + change).clamp(0.0, 1.0)

    def sizes(self, changes: torch.Tensor) -> torch.Tensor:
        """Norms (n,) of changes (n, c, h, w)."""
        flat = changes.flatten(1)
        found: torch.Tensor = flat.abs().amax(dim=1) if self.norm == "linf" else torch.linalg.vector_norm(flat, dim=1)
        return found

    def steepest(self, gradients: torch.Tensor) -> torch.Tensor:
        """The change of norm 1 that raises a linear function most: the gradient's sign, or the unit gradient."""
        return gradients.sign() if self.norm == "linf" else unit(gradients)

    def tangent(self, directions: torch.Tensor, points: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
        """Directions (..., n, c, h, w) without what `project` undoes: in L2, at the surface, the way outwards."""
        if self.norm == "linf":
            return directions
        change = points - centres
        outwards = unit(change) * (lengths(change) >= NEAR * self.epsilon)
        return directions - (directions * outwards).sum(dim=(-3, -2, -1), keepdim=True) * outwards

    def inside(self, centres: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A random point in each ball: uniform in the cube; in L2 a uniform direction and a uniform length."""
        if self.norm == "linf":
            change = torch.rand(centres.shape, generator=generator) * 2 - 1
        else:
            length = torch.rand((len(centres), 1, 1, 1), generator=generator)
            change = length * unit(torch.randn(centres.shape, generator=generator))
        return (centres + self.epsilon * change.to(centres.device)).clamp(0.0, 1.0)

    def surface(self, centres: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Random noise of full size: every pixel moved by epsilon either way; in L2 a uniform direction."""
        if self.norm == "linf":
            change = (torch.randint(0, 2, centres.shape, generator=generator) * 2 - 1).float()
        else:
            change = unit(torch.randn(centres.shape, generator=generator))
        return (centres + self.epsilon * change.to(centres.device)).clamp(0.0, 1.0)


NAMES: dict[Norm, str] = {"linf": "Linf", "l2": "L2"}

NEAR = 0.98
"""From this share of epsilon on a point counts as lying on the ball's surface."""


def lengths(rows: torch.Tensor) -> torch.Tensor:
    """L2 norms of images (..., c, h, w), (..., 1, 1, 1)."""
    found: torch.Tensor = torch.linalg.vector_norm(rows, dim=(-3, -2, -1), keepdim=True)
    return found


def unit(rows: torch.Tensor) -> torch.Tensor:
    """Images (..., c, h, w) over their L2 norms; 0 stays 0."""
    return rows / lengths(rows).clamp_min(1e-20)
