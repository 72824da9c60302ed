"""Projected gradient ascent with the network in hand."""

from __future__ import annotations

import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.methods.about import About
from assay.methods.evasion.ascent import pgd
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.fixed_epsilon import FixedEpsilon
from assay.methods.evasion.losses import LOSSES, GradientLoss
from assay.methods.method import method


@method
class Pgd(FixedEpsilon):
    """Steps along the loss's gradient, each brought back into the ball around the image.

    The margin is raised unless told otherwise: cross-entropy has no gradient where the network is sure of itself.
    """

    name = "evasion.pgd"
    about = About(
        "PGD, white box",
        "Follows the loss's gradient for some steps within epsilon; success rate per epsilon.",
        "Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018",
    )
    version = 2
    presets = {"standard": {}, "full": {"max_images": 10_000, "steps": 40, "step": 0.1}}

    steps: int = Field(default=10, ge=1, le=10_000, description="Steps along the gradient.")
    step: float = Field(default=0.25, gt=0.0, le=2.0, description="Length of a step, as a share of epsilon.")
    loss: GradientLoss = Field(default="margin", description="What is raised: margin, cross-entropy or dlr.")
    random_start: bool = Field(default=True, description="Whether to start at a random point near the image.")

    def attack(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, ball: Ball, generator: torch.Generator
    ) -> torch.Tensor:
        """PGD from a random point, or from the images themselves."""
        start = ball.inside(images, generator) if self.random_start else images
        return pgd(box, images, labels, ball, start=start, steps=self.steps, step=self.step, loss=LOSSES[self.loss])
