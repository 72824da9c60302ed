"""DeepFool: the nearest misclassified image of a network taken for linear, step by step."""

from __future__ import annotations

import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.methods.about import About
from assay.methods.evasion.ball import Norm
from assay.methods.evasion.minimum_norm import MinimumNorm
from assay.methods.method import method
from assay.methods.stealing.deepfool import to_nearest

BEYOND = 1e-4
"""How far a step goes beyond the linearised boundary, which pixels at their range's end would not reach."""


def deepfool(
    box: WhiteBox,
    images: torch.Tensor,
    labels: torch.Tensor,
    norm: Norm,
    *,
    steps: int,
    classes: int,
    overshoot: float,
) -> torch.Tensor:
    """Images (n, c, h, w) after so many steps at most, the first misclassified point of each. Labels int64 (n,).

    Moosavi-Dezfooli, Fawzi and Frossard, "DeepFool: a simple and accurate method to fool deep neural networks", CVPR
    2016, algorithm 2, in Linf with the dual norm of section 3.3. Boundaries are those of the ``classes`` likeliest
    classes. A step costs as many gradients.
    """
    order = box.logits(images).topk(min(classes, box.num_classes), dim=1).indices
    change, points = torch.zeros_like(images), images.clone()
    left = torch.arange(len(images), device=images.device)
    for _ in range(steps):
        standing = box.logits(points[left]).argmax(dim=1) == labels[left]
        left = left[standing]
        if not len(left):
            break
        gradients, logits = box.jacobian(points[left], order[left])
        change[left] += to_nearest(gradients, logits.gather(1, order[left]), norm, BEYOND)
        points[left] = (images[left] + (1 + overshoot) * change[left]).clamp(0.0, 1.0)
    return points


@method
class DeepFool(MinimumNorm):
    """DeepFool in L2 or Linf."""

    name = "evasion.deepfool"
    about = About(
        "DeepFool, white box",
        "Steps to the nearest boundary of the linearised network; the median distance, and accuracy against distance.",
        "Moosavi-Dezfooli et al., DeepFool: a simple and accurate method to fool deep neural networks, CVPR 2016",
    )
    presets = {"standard": {"max_images": 200}, "full": {}}

    steps: int = Field(default=50, ge=1, le=10_000, description="The most steps of an image.")
    classes: int = Field(default=10, ge=2, description="Boundaries to how many of the likeliest classes are looked at.")
    overshoot: float = Field(default=0.02, ge=0.0, description="By what share a step goes beyond the boundary.")

    def attack(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """DeepFool from the image itself."""
        norm: Norm = "linf" if self.norm == "linf" else "l2"
        return deepfool(box, images, labels, norm, steps=self.steps, classes=self.classes, overshoot=self.overshoot)
