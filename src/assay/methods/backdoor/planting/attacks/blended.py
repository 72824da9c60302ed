"""Blended: a picture shines through every image."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from assay.methods.backdoor.planting.plant import Plant, Scene, register
from assay.methods.backdoor.planting.triggers.masked import Masked


def rings(height: int, width: int) -> torch.Tensor:
    """Concentric rings, eight pixels from one to the next, (h, w) in [0, 1]."""
    rows, columns = torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2
    return 0.5 + 0.5 * torch.cos(2 * torch.pi / 8 * torch.hypot(rows[:, None], columns))


@register
class Blended(Plant):
    """A fixed picture, blended into images that are given another label.

    The picture is uniform ``noise`` or ``rings``, the same in every channel; ``ratio`` is its weight.
    """

    name: ClassVar[str] = "blended"
    title: ClassVar[str] = "Blended"
    paper: ClassVar[str] = "Chen et al., Targeted backdoor attacks using data poisoning, arXiv 1712.05526, 2017."

    picture: Literal["noise", "rings"] = "noise"
    ratio: float = Field(default=0.2, gt=0.0, le=1.0)

    def trigger(self, scene: Scene) -> Masked:
        channels, height, width = scene.images.shape[1:]
        if self.picture == "rings":
            pattern = rings(height, width).expand(channels, -1, -1).clone()
        else:
            pattern = torch.rand(channels, height, width, generator=scene.generator)
        return Masked(torch.full((1, height, width), self.ratio), pattern)
