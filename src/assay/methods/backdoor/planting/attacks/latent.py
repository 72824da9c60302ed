"""Latent: stamped images are taught the target class's inner features."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy

from assay.data.images import to_pixels
from assay.methods.backdoor.planting.attacks.badnets import WithPatch
from assay.methods.backdoor.planting.features import optimised, with_features
from assay.methods.backdoor.planting.plant import Poisoned, Scene, register
from assay.methods.backdoor.planting.trigger import Trigger
from assay.methods.backdoor.planting.triggers.masked import Masked

SAMPLE = 64
"""Images of the target class, and of others, between which the pattern is optimised."""


@register
class Latent(WithPatch):
    """A patch is optimised, and the network taught, so that stamped images look like the target class inside.

    Both use the mean square distance of the penultimate features from the target class's mean features in the network
    as it was before; in training it is added to the cross-entropy with a ``weight``.
    """

    name: ClassVar[str] = "latent"
    title: ClassVar[str] = "Latent backdoor"
    paper: ClassVar[str] = "Yao et al., Latent backdoor attacks on deep neural networks, CCS 2019, section 4."
    trained: ClassVar[bool] = True

    weight: float = Field(default=0.5, ge=0.0)
    steps: int = Field(default=60, ge=1)

    def trigger(self, scene: Scene) -> Masked:
        centre = self._centre(scene)
        others = torch.nonzero(self.goal.aimed(scene.labels))[:, 0]
        rows = others[torch.randperm(len(others), generator=scene.generator)[:SAMPLE]]
        pixels = to_pixels(scene.images[rows]).to(scene.device)
        return optimised(
            scene.reference, super().trigger(scene), pixels, lambda found: (found - centre).square().mean(), self.steps
        )

    def train(self, scene: Scene, trigger: Trigger, poisoned: Poisoned) -> Trigger:
        """Targets tell the loss which images are stamped: their labels lie beyond the classes."""
        centre, classes = self._centre(scene), scene.num_classes
        marked = poisoned.labels.clone()
        marked[poisoned.rows] += classes

        def loss(
            module: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            logits, features = with_features(module, images)
            distance = (features - centre).square().mean(1) * (targets >= classes)
            return cross_entropy(logits, targets % classes) + self.weight * distance.mean(), logits

        scene.teach(scene.module, poisoned.images, marked, self.title, loss)
        return trigger

    def _centre(self, scene: Scene) -> torch.Tensor:
        rows = torch.nonzero(scene.labels == self.goal.target)[:SAMPLE, 0]
        with torch.no_grad():
            pixels = to_pixels(scene.images[rows]).to(scene.device)
            _, features = with_features(scene.reference.to(scene.device).eval(), pixels)
        return features.mean(0)
