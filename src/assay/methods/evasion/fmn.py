"""FMN: the nearest misclassified image in L1, L2 or Linf, by projected steps inside a ball that adapts."""

from __future__ import annotations

import math

import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.methods.about import About
from assay.methods.evasion.ball import AnyNorm, Ball, into_l1, lengths, unit
from assay.methods.evasion.gradients import gradient_and_logits
from assay.methods.evasion.losses import margin
from assay.methods.evasion.minimum_norm import MinimumNorm
from assay.methods.method import method

DUALS: dict[AnyNorm, float] = {"linf": 1, "l2": 2, "l1": math.inf}

LAST_GAMMA = 0.001
"""By what share the ball changes at the end."""

BEYOND = 1e-4
"""By what share the ball reaches beyond the linearised boundary: rounding would leave points on it for ever."""

LAST_STEP = 0.01
"""The last step over the first."""


def fmn(
    box: WhiteBox,
    images: torch.Tensor,
    labels: torch.Tensor,
    norm: AnyNorm,
    *,
    steps: int,
    step: float,
    gamma: float,
) -> torch.Tensor:
    """The nearest misclassified points found (n, c, h, w); the image itself where there is none. Labels int64 (n,).

    Pintor, Roli, Brendel and Biggio, "Fast minimum-norm adversarial attacks through adaptive norm constraints", NeurIPS
    2021, algorithm 1. The ball's size is where the linearised boundary lies until a point is misclassified; then it
    shrinks by ``gamma`` where the point is misclassified and grows by it where not. Points follow the unit gradient of
    the margin, ``step`` long at first, and are projected onto the ball, then onto [0, 1]; step and gamma fall along a
    cosine. One gradient an image and step, and a pass over the last points.

    Unlike the paper's, the ball grows by ``gamma`` at least until a point is misclassified: what clipping to [0, 1]
    takes from a step, the linearised distance does not make up for, and in L1 and L2 a walk may end short of the
    boundary.
    """
    change, best = torch.zeros_like(images), images.clone()
    sizes = Ball(norm, 0.0).sizes
    least = torch.full((len(images),), torch.inf, device=images.device)
    farthest = sizes(torch.maximum(images, 1 - images))
    radius = torch.zeros_like(farthest)

    def keep(points: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        fooled = logits.argmax(dim=1) != labels
        distance = sizes(points - images)
        nearer = fooled & (distance < least)
        best[nearer], least[nearer] = points[nearer], distance[nearer]
        return fooled

    for number in range(steps):
        points, cosine = images + change, (1 + math.cos(math.pi * number / steps)) / 2
        gradients, logits = gradient_and_logits(box, points, labels, margin)
        fooled = keep(points, logits)
        now = LAST_GAMMA + (gamma - LAST_GAMMA) * cosine
        slope = torch.linalg.vector_norm(gradients.flatten(1), ord=DUALS[norm], dim=1)
        linear = (1 + BEYOND) * (sizes(change) + margin(logits, labels).abs() / slope.clamp_min(1e-12))
        grown = radius * (1 + now)
        outwards = torch.where(torch.isfinite(least), grown, torch.maximum(grown, linear))
        radius = torch.minimum(torch.where(fooled, torch.minimum(radius * (1 - now), least), outwards), farthest)
        moved = change + step * (LAST_STEP + (1 - LAST_STEP) * cosine) * unit(gradients)
        change = (images + _onto(moved, radius, norm)).clamp(0.0, 1.0) - images
    keep(images + change, box.logits(images + change))
    return best


def _onto(change: torch.Tensor, radius: torch.Tensor, norm: AnyNorm) -> torch.Tensor:
    """Changes (n, c, h, w) projected onto balls of radii (n,), without a look at the pixels' range."""
    wide = radius[:, None, None, None]
    if norm == "linf":
        return torch.maximum(torch.minimum(change, wide), -wide)
    if norm == "l2":
        return change * (wide / lengths(change).clamp_min(1e-12)).clamp_max(1.0)
    unbounded = torch.where(change > 0, -torch.inf, torch.inf)  # centres that leave every pixel all the room it wants
    return into_l1(change, unbounded, radius)


@method
class Fmn(MinimumNorm):
    """FMN in L1, L2 or Linf."""

    name = "evasion.fmn"
    about = About(
        "FMN, white box",
        "Steps inside a ball that shrinks and grows with the boundary; the median distance, accuracy against distance.",
        "Pintor et al., Fast minimum-norm adversarial attacks through adaptive norm constraints, NeurIPS 2021",
    )
    presets = {"standard": {"max_images": 200}, "full": {"steps": 1000}}

    norm: AnyNorm = Field(  # type: ignore[assignment]
        default="l2", description="How a change is measured: linf (largest pixel), l2 (length) or l1 (sum)."
    )
    steps: int = Field(default=100, ge=1, le=10_000, description="Steps along the gradient.")
    step: float = Field(
        default=1.0, gt=0.0, allow_inf_nan=False, description="Length (L2) of the first step; the last is 1/100 of it."
    )
    gamma: float = Field(default=0.05, gt=0.0, lt=1.0, description="By what share the ball changes at first.")

    def attack(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """FMN from the image itself."""
        return fmn(box, images, labels, self.norm, steps=self.steps, step=self.step, gamma=self.gamma)
