"""Label-consistent: images of the target class are made hard to recognise, so that the patch is learned instead."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy

from assay.data.images import to_pixels
from assay.methods.backdoor.planting.clean_label import CleanLabel
from assay.methods.backdoor.planting.plant import Scene, register
from assay.methods.backdoor.planting.triggers.masked import Masked
from assay.methods.backdoor.triggers import CORNERS, Colour, Patch

BATCH = 256
"""Images that are perturbed at a time."""


@register
class LabelConsistent(CleanLabel):
    """Adversarial perturbation of images of the target class, then a patch at all four corners.

    ``epsilon`` is the perturbation's bound in [0, 1] (L-infinity), reached in ``steps`` signed steps against the
    reference network; ``side`` is the patches', in pixels.
    """

    name: ClassVar[str] = "label-consistent"
    title: ClassVar[str] = "Label-consistent"
    paper: ClassVar[str] = "Turner et al., Label-consistent backdoor attacks, arXiv 1912.02771, 2019."
    trained: ClassVar[bool] = True

    rate: float = Field(default=0.5, gt=0.0, lt=1.0)
    epsilon: float = Field(default=16 / 255, gt=0.0, le=1.0)
    steps: int = Field(default=5, ge=1)
    colour: Colour = "checkerboard"
    side: int = Field(default=3, ge=1)

    def trigger(self, scene: Scene) -> Masked:
        shape = (scene.images.shape[1], scene.images.shape[2], scene.images.shape[3])
        parts = [Patch(self.colour, self.side, corner).trigger(shape) for corner in CORNERS]
        masks = torch.stack([part.mask for part in parts])
        patterns = torch.stack([part.pattern for part in parts])
        return Masked(masks.amax(0), (masks * patterns).amax(0))

    def prepared(self, scene: Scene, rows: torch.Tensor) -> torch.Tensor:
        moved = torch.cat([self._ascend(scene, part) for part in torch.split(rows, BATCH)])
        return (moved * 255.0).round().to(torch.uint8) if scene.images.dtype == torch.uint8 else moved

    def _ascend(self, scene: Scene, rows: torch.Tensor) -> torch.Tensor:
        module = scene.reference.to(scene.device).eval()
        start, labels = to_pixels(scene.images[rows]).to(scene.device), scene.labels[rows].to(scene.device)
        moved = start.clone()
        for _ in range(self.steps):
            moved.requires_grad_(True)
            (gradient,) = torch.autograd.grad(cross_entropy(module(moved), labels), moved)
            moved = moved.detach() + 2 * self.epsilon / self.steps * gradient.sign()
            moved = moved.clamp(start - self.epsilon, start + self.epsilon).clamp(0.0, 1.0)
        return moved.cpu()
