"""A pattern seen through a mask: patches, and images blended in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from assay.methods.backdoor.planting.trigger import Trigger, trigger


@trigger
@dataclass(frozen=True, eq=False)
class Masked(Trigger):
    """(1 - m) x + m k, with ``mask`` m (1, h, w) in [0, 1] and ``pattern`` k (c, h, w) in [0, 1].

    Chen et al., arXiv 1712.05526, section 3; a mask of zeros and ones is the patch of BadNets.
    """

    name: ClassVar[str] = "masked"
    mask: torch.Tensor
    pattern: torch.Tensor

    def change(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.lerp(pixels, self.pattern.to(pixels.device), self.mask.to(pixels.device))
