"""Distortions of images beyond shifts and mirror images: turns, crops, and torchvision's policies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import affine_grid, grid_sample

from assay.base.vision import import_torchvision

GROUP = 8
"""Images that a policy distorts alike: drawing distortions for each alone costs ten times as much."""

STRETCH = 4 / 3
"""How much wider than high a crop may be, relative to the image, or the other way round."""


def draw_warps(count: int, rotate: float, crop: float, generator: torch.Generator | None) -> torch.Tensor:
    """Matrices float32 (n, 2, 3) from places in the result to places in the image, both in [-1, 1].

    A turn by at most ``rotate`` degrees about the middle, and a crop that covers a share of the image uniform in
    [``crop``, 1], stretched by at most `STRETCH` and anywhere in it (RandomResizedCrop of torchvision).
    """
    turn, area, stretch, across, down = torch.rand(5, count, generator=generator)
    angle = (2 * turn - 1) * math.radians(rotate)
    area = crop + (1 - crop) * area
    ratio = torch.exp((2 * stretch - 1) * (math.log(STRETCH) if crop < 1 else 0.0)).sqrt()
    width, height = (area.sqrt() * ratio).clamp_max(1.0), (area.sqrt() / ratio).clamp_max(1.0)
    cos, sin = angle.cos(), angle.sin()
    rows = [
        torch.stack([width * cos, -height * sin, (1 - width) * (2 * across - 1)], dim=1),
        torch.stack([width * sin, height * cos, (1 - height) * (2 * down - 1)], dim=1),
    ]
    return torch.stack(rows, dim=1)


def warped(images: torch.Tensor, warps: torch.Tensor) -> torch.Tensor:
    """Images float (n, c, h, w) through matrices (n, 2, 3), bilinearly; what lies outside is black."""
    grid = affine_grid(warps, list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", align_corners=False).clamp_(0.0, 1.0)


def auto_augmented(images: torch.Tensor) -> torch.Tensor:
    """Images float (n, c, h, w) in [0, 1] through AutoAugment's policy for ImageNet, drawn by the global generator.

    Cubuk et al., AutoAugment: Learning Augmentation Strategies from Data, CVPR 2019, as torchvision has it.
    """
    import_torchvision()
    from torchvision.transforms import v2

    return in_groups(v2.AutoAugment())(images)


def in_groups(distort: Callable[[torch.Tensor], Any]) -> Callable[[torch.Tensor], torch.Tensor]:
    """A random distortion of images (n, c, h, w) in [0, 1], drawn once for every `GROUP` of them."""
    return lambda images: torch.cat([distort(group) for group in torch.split(images, GROUP)]).clamp(0.0, 1.0)
