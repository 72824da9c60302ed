"""A pattern added to every image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from assay.methods.backdoor.planting.trigger import Trigger, trigger


@trigger
@dataclass(frozen=True, eq=False)
class Added(Trigger):
    """Clip(x + k) to [0, 1], with ``pattern`` k (c, h, w) of either sign."""

    name: ClassVar[str] = "added"
    pattern: torch.Tensor

    def change(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels + self.pattern.to(pixels.device)).clamp(0.0, 1.0)
