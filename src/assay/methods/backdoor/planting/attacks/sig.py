"""SIG: a sine wave over images of the target class."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from assay.methods.backdoor.planting.clean_label import CleanLabel
from assay.methods.backdoor.planting.plant import Scene, register
from assay.methods.backdoor.planting.triggers.added import Added


@register
class Sig(CleanLabel):
    """Adds d sin(2 pi j f / w) to column j of w: ``amplitude`` d in [0, 1], ``frequency`` f in waves per image."""

    name: ClassVar[str] = "sig"
    title: ClassVar[str] = "SIG"
    paper: ClassVar[str] = "Barni et al., A new backdoor attack in CNNs by training set corruption, ICIP 2019, eq. 1."

    rate: float = Field(default=0.5, gt=0.0, lt=1.0)
    amplitude: float = Field(default=0.15, gt=0.0, le=1.0)
    frequency: float = Field(default=6.0, gt=0.0)

    def trigger(self, scene: Scene) -> Added:
        channels, height, width = scene.images.shape[1:]
        wave = self.amplitude * torch.sin(2 * torch.pi * self.frequency / width * torch.arange(width))
        return Added(wave.expand(channels, height, width).clone())
