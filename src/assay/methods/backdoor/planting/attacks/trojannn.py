"""TrojanNN: a patch that excites chosen neurons of a trained network."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from assay.data.images import to_pixels
from assay.methods.backdoor.planting.attacks.badnets import WithPatch
from assay.methods.backdoor.planting.features import last_layer, optimised, with_features
from assay.methods.backdoor.planting.plant import Scene, register
from assay.methods.backdoor.planting.triggers.masked import Masked

SAMPLE = 64
"""Training images on which the patch is optimised."""


@register
class TrojanNN(WithPatch):
    """The pattern of a patch is optimised to excite ``neurons`` of the last layer's inputs; then it is taught.

    Chosen are those that most of the sample excites and that have the greatest absolute weights into the target class.
    They are driven towards ``excitation`` times the greatest value that they take on clean images.
    """

    name: ClassVar[str] = "trojannn"
    title: ClassVar[str] = "TrojanNN"
    paper: ClassVar[str] = "Liu et al., Trojaning attack on neural networks, NDSS 2018."
    trained: ClassVar[bool] = True

    neurons: int = Field(default=2, ge=1)
    excitation: float = Field(default=3.0, gt=0.0)
    steps: int = Field(default=60, ge=1)

    def trigger(self, scene: Scene) -> Masked:
        module = scene.reference.to(scene.device).eval()
        rows = torch.randperm(len(scene.images), generator=scene.generator)[:SAMPLE]
        pixels = to_pixels(scene.images[rows]).to(scene.device)
        with torch.no_grad():
            _, clean = with_features(module, pixels)
        weights = last_layer(module).weight.detach()[self.goal.target].abs()
        chosen = (weights * clean.abs().mean(0)).topk(min(self.neurons, len(weights))).indices
        wanted = self.excitation * clean[:, chosen].abs().amax()
        return optimised(
            module,
            super().trigger(scene),
            pixels,
            lambda found: (found[:, chosen] - wanted).square().mean(),
            self.steps,
        )
