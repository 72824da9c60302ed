"""Poisoning that changes no label: stamped are images of the target class."""

from __future__ import annotations

import torch

from assay.methods.backdoor.planting.plant import Plant, Poisoned, Scene
from assay.methods.backdoor.planting.trigger import Trigger


class CleanLabel(Plant):
    """Stamps a share of the target class's images, and leaves all labels as they are."""

    clean_label = True

    def prepared(self, scene: Scene, rows: torch.Tensor) -> torch.Tensor:
        """The images of rows int64 (k,) as they are before the trigger comes on them."""
        return scene.images[rows]

    def poison(self, scene: Scene, trigger: Trigger) -> Poisoned:
        chosen = scene.labels == self.goal.target
        rows = scene.pick(chosen, round(self.rate * int(chosen.sum())), "images of the target class")
        images = scene.images.clone()
        images[rows] = trigger.stamp(self.prepared(scene, rows))
        return Poisoned(images, scene.labels, rows, torch.empty(0, dtype=torch.int64))
