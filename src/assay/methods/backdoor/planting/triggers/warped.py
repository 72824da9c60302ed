"""A small smooth warp of the whole image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn.functional import grid_sample, interpolate

from assay.methods.backdoor.planting.trigger import Trigger, trigger


def smooth_shifts(size: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Shifts (h, w, 2) of every pixel, right and down, with a mean absolute value near 1.

    A grid of ``size`` by ``size`` uniform draws from [-1, 1], divided by its mean absolute value and interpolated
    bicubically (Nguyen and Tran, WaNet, ICLR 2021, section 3.2).
    """
    coarse = 2 * torch.rand(1, 2, size, size, generator=generator) - 1
    coarse = coarse / coarse.abs().mean()
    fine = interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    return fine[0].permute(1, 2, 0).contiguous()


@trigger
@dataclass(frozen=True, eq=False)
class Warped(Trigger):
    """Every pixel is read, bilinearly, ``shifts`` (h, w, 2) pixels to its right and below, and within the image."""

    name: ClassVar[str] = "warped"
    shifts: torch.Tensor

    def change(self, pixels: torch.Tensor) -> torch.Tensor:
        return read_at(pixels, self.shifts.to(pixels.device).expand(len(pixels), -1, -1, -1))

    def shaken(self, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Images (n, c, h, w) with the warp and a random shift of up to one pixel more, other for each: noise mode."""
        shifts = self.shifts.expand(len(pixels), -1, -1, -1)
        return read_at(pixels, shifts + 2 * torch.rand(shifts.shape, generator=generator) - 1)


def read_at(pixels: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Images (n, c, h, w) read at each pixel's place plus its shift, of (n, h, w, 2) pixels right and down."""
    height, width = pixels.shape[-2:]
    rows = torch.arange(height, device=pixels.device)[:, None].expand(height, width)
    columns = torch.arange(width, device=pixels.device).expand(height, width)
    scale = torch.tensor([2.0 / max(width - 1, 1), 2.0 / max(height - 1, 1)], device=pixels.device)
    places = (torch.stack([columns, rows], dim=-1) + shifts) * scale - 1.0
    return grid_sample(pixels, places.clamp(-1.0, 1.0), align_corners=True).clamp(0.0, 1.0)
