"""Auto-PGD with the network in hand."""

from __future__ import annotations

import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.methods.about import About
from assay.methods.evasion.ascent import apgd
from assay.methods.evasion.ball import AnyNorm, Ball
from assay.methods.evasion.fixed_epsilon import FixedEpsilon
from assay.methods.evasion.losses import LOSSES, GradientLoss
from assay.methods.evasion.sparse_ascent import shrinking_apgd
from assay.methods.method import method


@method
class Apgd(FixedEpsilon):
    """Auto-PGD with the scale-free DLR loss, which saturated networks do not blind."""

    name = "evasion.apgd"
    about = About(
        "APGD, white box",
        "PGD that finds its own step sizes, on a loss that does not saturate; success per epsilon.",
        "Croce and Hein, Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free "
        "attacks, ICML 2020",
    )
    version = 2
    presets = {"standard": {"steps": 20}, "full": {"max_images": 10_000, "steps": 100}}

    norm: AnyNorm = Field(  # type: ignore[assignment]
        default="linf", description="How a change is measured: linf (largest pixel), l2 (length) or l1 (sum)."
    )
    steps: int = Field(default=100, ge=1, le=10_000, description="Steps along the gradient.")
    loss: GradientLoss = Field(default="dlr", description="What is raised: margin, cross-entropy or dlr.")

    def attack(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, ball: Ball, generator: torch.Generator
    ) -> torch.Tensor:
        """APGD from a random point, in L1 in balls that shrink."""
        if ball.norm == "l1":
            return shrinking_apgd(
                box, images, labels, ball, generator=generator, steps=self.steps, loss=LOSSES[self.loss]
            )
        start = ball.inside(images, generator)
        return apgd(box, images, labels, ball, start=start, steps=self.steps, loss=LOSSES[self.loss])
