"""Augmentations of the further clean networks; those by which the scan explains means follow other laws."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, one_hot

UNSEEN = "varied"
"""The one that was made when the scan stood, and that no null holds."""

COPIES = 3
"""Augmented copies of the training images; a network sees each of them equally often."""

Augmented = tuple[torch.Tensor, torch.Tensor]


def erased(images: torch.Tensor, targets: torch.Tensor, generator: torch.Generator) -> Augmented:
    """Every second image loses a rectangle of a fifth to half of each side, filled with noise."""
    count, _, *sides = images.shape
    lengths, places = torch.rand(2, 2, count, 1, generator=generator)
    inside = []
    for side, length, place in zip(sides, 0.2 + 0.3 * lengths, places, strict=True):
        start = place * (1 - length)
        middle = (torch.arange(side) + 0.5) / side
        inside.append((middle >= start) & (middle < start + length))
    hit = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    hit &= torch.rand(count, 1, 1, 1, generator=generator) < 0.5
    return torch.where(hit, torch.rand(images.shape, generator=generator), images), targets


def recoloured(images: torch.Tensor, targets: torch.Tensor, generator: torch.Generator) -> Augmented:
    """Each channel times 0.7 to 1.3, then a power of 0.7 to 1.3."""
    count, channels = images.shape[:2]
    gain, power = 0.7 + 0.6 * torch.rand(2, count, channels, 1, 1, generator=generator)
    return (images * gain).clamp(0, 1) ** power[:, :1], targets


def mixed(images: torch.Tensor, targets: torch.Tensor, generator: torch.Generator) -> Augmented:
    """Means of two images and their targets; the smaller share is uniform between 0 and a half, squared and doubled."""
    share = 2 * (0.5 * torch.rand(len(images), 1, 1, 1, generator=generator)).square()
    other = torch.randperm(len(images), generator=generator)
    return torch.lerp(images, images[other], share), torch.lerp(targets, targets[other], share.view(-1, 1))


def varied(images: torch.Tensor, targets: torch.Tensor, generator: torch.Generator) -> Augmented:
    """Each image is sheared by up to 0.3, or left with 8 levels, or solarised above some level, or sharpened."""
    count = len(images)
    affine = torch.eye(2, 3).repeat(count, 1, 1)
    affine[:, 0, 1] = 0.6 * torch.rand(count, generator=generator) - 0.3
    sheared = grid_sample(images, affine_grid(affine, list(images.shape), align_corners=False), align_corners=False)
    level = 0.5 + 0.5 * torch.rand(count, 1, 1, 1, generator=generator)
    blurred = avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    ways = torch.stack(
        [
            sheared,
            (images * 7).round() / 7,
            torch.where(images > level, 1 - images, images),
            (2 * images - blurred).clamp(0, 1),
        ]
    )
    return ways[torch.randint(len(ways), (count,), generator=generator), torch.arange(count)], targets


AUGMENTATIONS: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Generator], Augmented]] = {
    "erased": erased,
    "recoloured": recoloured,
    "mixed": mixed,
    "varied": varied,
}


def augmented(name: str, images: torch.Tensor, labels: torch.Tensor, num_classes: int, seed: int) -> Augmented:
    """`COPIES` of uint8 images (n, c, h, w), each augmented anew, and their targets float32 (n, classes)."""
    generator = torch.Generator().manual_seed(seed)
    pixels, targets = images.float() / 255, one_hot(labels, num_classes).float()
    copies = [AUGMENTATIONS[name](pixels, targets, generator) for _ in range(COPIES)]
    return torch.cat([one for one, _ in copies]).mul(255).round().byte(), torch.cat([one for _, one in copies])
