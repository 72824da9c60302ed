"""Transfer that overfits the surrogate less: momentum, and inputs of random size."""

from __future__ import annotations

import copy

import torch
from pydantic import Field
from torch.nn.functional import interpolate, pad

from assay.access import WhiteBox
from assay.methods.about import About
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.gradients import gradient_and_logits
from assay.methods.evasion.losses import cross_entropy
from assay.methods.evasion.transfer import Transfer
from assay.methods.method import method
from assay.methods.stealing.basic import BasicStealing


class Resized(torch.nn.Module):
    """Images shrunk to a random size and put at a random place on black, or left alone, a whole batch alike."""

    def __init__(self, probability: float, smallest: float, generator: torch.Generator) -> None:
        """``smallest`` in (0, 1] is the least size, as a share of the side; ``probability`` that of being changed."""
        super().__init__()
        self.probability, self.smallest, self.generator = probability, smallest, generator

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) of the same shape, differentiably."""
        if float(torch.rand((), generator=self.generator)) >= self.probability:
            return images
        sides = images.shape[2:]
        share = self.smallest + (1 - self.smallest) * float(torch.rand((), generator=self.generator))
        small = [max(1, round(share * side)) for side in sides]
        top, left = (
            int(torch.randint(0, side - less + 1, (), generator=self.generator))
            for side, less in zip(sides, small, strict=True)
        )
        resized = interpolate(images, size=small, mode="bilinear", align_corners=False)
        return pad(resized, (left, sides[1] - small[1] - left, top, sides[0] - small[0] - top))


def mi_di_fgsm(
    box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, ball: Ball, *, steps: int, momentum: float
) -> torch.Tensor:
    """Images (n, c, h, w) after so many steps of epsilon / steps along gradients that add up.

    Each gradient is divided by its mean absolute value, and what was gathered before is multiplied by ``momentum``.
    Dong et al., "Boosting adversarial attacks with momentum", CVPR 2018. With `Resized` before the network, Xie et al.,
    "Improving transferability of adversarial examples with input diversity", CVPR 2019.
    """
    points, gathered = images.clone(), torch.zeros_like(images)
    for _ in range(steps):
        gradients, _ = gradient_and_logits(box, points, labels, cross_entropy)
        mean = gradients.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-20)
        gathered = momentum * gathered + gradients / mean
        points = ball.project(points + ball.epsilon / steps * ball.steepest(gathered), images)
    return points


@method
class MomentumTransfer(Transfer):
    """As `evasion.transfer`, with several steps on the surrogate, momentum and random sizes."""

    name = "evasion.transfer_momentum"
    about = About(
        "MI-DI-FGSM through a stolen surrogate",
        "Makes examples with momentum and random sizes on a stolen surrogate; asks the target.",
        "Dong et al., Boosting adversarial attacks with momentum, 2018; Xie et al., Improving transferability of "
        "adversarial examples with input diversity, 2019",
        threat_model=Transfer.about.threat_model,
        atlas=Transfer.about.atlas,
    )
    presets = {
        "standard": {"max_images": 2000, "surrogate": BasicStealing.presets["standard"]},
        "full": {"max_images": 10_000, "surrogate": BasicStealing.presets["full"]},
    }

    steps: int = Field(default=10, ge=1, le=1000, description="Steps along the surrogate's gradients.")
    momentum: float = Field(default=1.0, ge=0.0, le=1.0, description="What is kept of the gradients before.")
    diversity: float = Field(default=0.5, ge=0.0, le=1.0, description="How often the surrogate sees a smaller image.")
    smallest: float = Field(default=0.9, gt=0.0, le=1.0, description="The least size of these, as a share of the side.")

    def craft(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> dict[float, torch.Tensor]:
        """Adversarial images (n, c, h, w) by epsilon, by `mi_di_fgsm`; see `Transfer.craft`."""
        # A copy, so that the surrogate itself stays as it is; gradients are still counted in its ledger.
        diverse = copy.copy(box)
        diverse.module = torch.nn.Sequential(Resized(self.diversity, self.smallest, generator), box.module)
        return {
            epsilon: mi_di_fgsm(
                diverse, images, labels, Ball("linf", epsilon), steps=self.steps, momentum=self.momentum
            )
            for epsilon in self.epsilons
        }
