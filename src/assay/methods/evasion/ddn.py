"""DDN: the nearest misclassified image in L2, by steps whose direction and norm are decoupled."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.methods.about import About
from assay.methods.evasion.ball import Ball, lengths, unit
from assay.methods.evasion.gradients import gradient_and_logits
from assay.methods.evasion.losses import cross_entropy
from assay.methods.evasion.minimum_norm import MinimumNorm
from assay.methods.method import method

LAST_STEP = 0.01
"""The step size at the end, from 1 on a cosine."""


def ddn(
    box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, *, steps: int, gamma: float, radius: float
) -> torch.Tensor:
    """The nearest misclassified points found (n, c, h, w); the image itself where there is none. Labels int64 (n,).

    Rony et al., "Decoupling direction and norm for efficient gradient-based L2 adversarial attacks and defenses", CVPR
    2019, algorithm 1: every step follows the unit gradient of the cross-entropy, then the change is brought to a length
    that shrinks by ``gamma`` where the point is misclassified and grows by it where not; ``radius`` is the first.
    One gradient an image and step, and a pass over the last points.
    """
    change, best = torch.zeros_like(images), images.clone()
    least = torch.full((len(images),), torch.inf, device=images.device)
    length = torch.full((len(images), 1, 1, 1), radius, device=images.device)
    sizes = Ball("l2", 0.0).sizes

    def keep(points: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        fooled = logits.argmax(dim=1) != labels
        distance = sizes(points - images)
        nearer = fooled & (distance < least)
        best[nearer], least[nearer] = points[nearer], distance[nearer]
        return fooled

    for step in range(steps):
        points = images + change
        gradients, logits = gradient_and_logits(box, points, labels, cross_entropy)
        fooled = keep(points, logits)[:, None, None, None]
        size = LAST_STEP + (1 - LAST_STEP) * (1 + math.cos(math.pi * step / steps)) / 2
        moved = change + size * unit(gradients)
        length = torch.where(fooled, (1 - gamma) * length, (1 + gamma) * length)
        change = (images + moved * (length / lengths(moved).clamp_min(1e-12))).clamp(0.0, 1.0) - images
    keep(images + change, box.logits(images + change))
    return best


@method
class Ddn(MinimumNorm):
    """DDN in L2, the only norm that it is defined for."""

    name = "evasion.ddn"
    about = About(
        "DDN, white box",
        "Decouples a step's direction from its length to find the nearest misclassified image; the median distance.",
        "Rony et al., Decoupling direction and norm for efficient gradient-based L2 adversarial attacks and defenses, "
        "CVPR 2019",
    )
    presets = {"standard": {"max_images": 200, "steps": 100}, "full": {"steps": 1000}}

    norm: Literal["l2"] = Field(default="l2", description="How a change is measured: l2 (length).")
    steps: int = Field(default=100, ge=1, le=10_000, description="Steps along the gradient.")
    gamma: float = Field(default=0.05, gt=0.0, lt=1.0, description="By what share the length changes in a step.")
    radius: float = Field(default=1.0, gt=0.0, allow_inf_nan=False, description="The length to begin with.")

    def attack(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """DDN from the image itself."""
        return ddn(box, images, labels, steps=self.steps, gamma=self.gamma, radius=self.radius)
