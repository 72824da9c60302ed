"""DeepFool as a plug-in: the smallest change, found by taking the network for linear and stepping to its boundary."""

from __future__ import annotations

import torch
from pydantic import Field

from assay.plugin import About, MinimumNorm, WhiteBox, method


@method
class DeepFool(MinimumNorm):
    """Steps to the nearest boundary of the linearised network until the image is misclassified."""

    name = "evasion.deepfool_plugged"
    about = About(
        "DeepFool, white box",
        "Steps to the nearest boundary of the linearised network; the median distance, and accuracy against distance.",
        "Moosavi-Dezfooli et al., DeepFool: a simple and accurate method to fool deep neural networks, CVPR 2016",
    )
    presets = {"standard": {"max_images": 200}, "full": {}}

    steps: int = Field(default=50, ge=1, description="The most steps of an image.")
    classes: int = Field(default=10, ge=2, description="Boundaries to how many of the likeliest classes are looked at.")
    overshoot: float = Field(default=0.02, ge=0.0, description="By what share a step goes beyond the boundary.")

    def attack(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """DeepFool (the paper's algorithm 2; in Linf with the dual norms of its section 3.3)."""
        count = min(self.classes, box.num_classes)
        order = box.logits(images).topk(count, dim=1).indices
        change = torch.zeros_like(images)
        left = torch.arange(len(images), device=images.device)
        for _ in range(self.steps):
            points = (images[left] + (1 + self.overshoot) * change[left]).clamp(0, 1)
            standing = box.logits(points).argmax(dim=1) == labels[left]
            left, points = left[standing], points[standing]
            if not len(left):
                break
            gradients, logits = box.jacobian(points, order[left])
            chosen = logits.gather(1, order[left])
            normals = (gradients[:, 1:] - gradients[:, :1]).flatten(2)
            gaps = (chosen[:, 1:] - chosen[:, :1]).abs() + 1e-4
            dual = normals.abs().sum(dim=2) if self.norm == "linf" else normals.norm(dim=2)
            nearest = (gaps / dual.clamp_min(1e-12)).argmin(dim=1)
            row = torch.arange(len(left), device=images.device)
            normal, gap, size = normals[row, nearest], gaps[row, nearest], dual[row, nearest].clamp_min(1e-12)
            step = normal.sign() * (gap / size)[:, None]
            if self.norm == "l2":
                step = normal * (gap / size**2)[:, None]
            change[left] += step.view_as(points)
        return images + (1 + self.overshoot) * change
