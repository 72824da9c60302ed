"""What is usually done to training images: each moves the statistics of all of them, without any poison."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import radians
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, pad

from assay.training.feeding import Moves, move

SHIFTS = tuple(step / 32 for step in range(7))
"""Furthest shifts that are tried, as shares of the shorter side; means tell one of 3 pixels from one of 4."""

COLOURS = 0.4
"""By how much brightness, contrast and saturation change at most, as shares."""

GAMMA = 0.5
"""The logarithm of the strongest power of a pixel's value."""

TINT = 0.3
"""By how much each channel changes at most, as a share."""

NOISE = 0.1
"""The standard deviation of noise."""

ANGLE = radians(20)
"""The furthest rotation."""

CROPPED = 0.6
"""The shortest side of what is cut out, as a share."""

Change = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""Images (n, c, h, w) in [0, 1] to images of the same shape, each augmented at random."""


class Augmentation(NamedTuple):
    """What is done to images, by its name."""

    name: str
    change: Change


def shifts(side: int) -> list[Augmentation]:
    """Shifts of images with so many pixels on the shorter side; the first leaves them as they are."""
    found = []
    for pixels in dict.fromkeys(round(share * side) for share in SHIFTS):
        name = f"shifted by up to {pixels} pixel{'s' * (pixels > 1)}" if pixels else "as they are"
        found.append(Augmentation(name, partial(_shifted, pixels)))
    return found


def _shifted(pixels: int, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return move(images, Moves.draw(len(images), pixels, flip=False, generator=generator), pixels)


def mirrored(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Every second image, left to right."""
    return move(images, Moves.draw(len(images), 0, flip=True, generator=generator), 0)


def erased(side: float, fill: Literal["black", "colour", "noise"]) -> Change:
    """A square of ``side``, a share, anywhere, is black, of the images' mean ``colour``, or ``noise``.

    See DeVries and Taylor, "Improved Regularization of CNNs with Cutout"; Zhong et al., "Random Erasing", AAAI 2020.
    """

    def change(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        inside = _squares(images, torch.full((len(images),), side), generator)
        if fill == "noise":
            filled = torch.rand(images.shape, generator=generator)
        else:
            filled = images.mean((0, 2, 3), keepdim=True) if fill == "colour" else torch.zeros(())
        return torch.where(inside, filled, images)

    return change


def colour_jitter(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Brightness, then contrast, then saturation, times 1 - `COLOURS` to 1 + `COLOURS`."""
    factors = 1 + COLOURS * (2 * torch.rand(3, len(images), 1, 1, 1, generator=generator) - 1)
    images = (images * factors[0]).clamp(0, 1)
    images = torch.lerp(images.mean((1, 2, 3), keepdim=True), images, factors[1]).clamp(0, 1)
    return torch.lerp(images.mean(1, keepdim=True), images, factors[2]).clamp(0, 1)


def gamma_changed(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each value to a power between exp(-`GAMMA`) and exp(`GAMMA`)."""
    return images ** torch.exp(GAMMA * (2 * torch.rand(len(images), 1, 1, 1, generator=generator) - 1))


def tinted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each channel times 1 - `TINT` to 1 + `TINT`."""
    drawn = torch.rand(*images.shape[:2], 1, 1, generator=generator)
    return (images * (1 + TINT * (2 * drawn - 1))).clamp(0, 1)


def mixup(alpha: float) -> Change:
    """Means of two images, by shares from a beta distribution of twice alpha (Zhang et al., "mixup", ICLR 2018)."""

    def change(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        seed = int(torch.randint(2**62, (1,), generator=generator))
        shares = np.random.default_rng(seed).beta(alpha, alpha, (len(images), 1, 1, 1))
        return torch.lerp(_others(images, generator), images, torch.from_numpy(shares).float())

    return change


def blended(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Nine tenths of each image, and one of another."""
    return torch.lerp(images, _others(images, generator), 0.1)


def cutmix(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A square of another image, anywhere and of any size (Yun et al., "CutMix", ICCV 2019)."""
    inside = _squares(images, torch.rand(len(images), generator=generator).sqrt(), generator)
    return torch.where(inside, _others(images, generator), images)


def noisy(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Normal noise of `NOISE`."""
    return (images + NOISE * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def blurred(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Means of three by three pixels."""
    return avg_pool2d(pad(images, (1,) * 4, mode="replicate"), 3, stride=1)


def rotated(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """By up to `ANGLE` either way; black comes in at the corners."""
    angle = ANGLE * (2 * torch.rand(len(images), generator=generator) - 1)
    nothing = torch.zeros(len(images))
    rows = [[angle.cos(), -angle.sin(), nothing], [angle.sin(), angle.cos(), nothing]]
    return _sampled(images, torch.stack([torch.stack(row, 1) for row in rows], 1))


def cropped(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A part with sides of `CROPPED` to 1, anywhere, brought to full size."""
    side = CROPPED + (1 - CROPPED) * torch.rand(len(images), 1, generator=generator)
    middle = (2 * torch.rand(len(images), 2, generator=generator) - 1) * (1 - side)
    return _sampled(images, torch.cat([torch.diag_embed(side.expand(-1, 2)), middle[:, :, None]], 2))


def _sampled(images: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
    grid = affine_grid(affine, list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False).clamp(0, 1)


def _others(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return images[torch.randperm(len(images), generator=generator)]


def _squares(images: torch.Tensor, sides: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Bool (n, 1, h, w): inside a rectangle of ``sides`` (n,), shares of height and width, with its centre anywhere."""
    inside = []
    for length, centre in zip(images.shape[2:], torch.rand(2, len(images), 1, generator=generator), strict=True):
        inside.append(((torch.arange(length) + 0.5) / length - centre).abs() < sides[:, None] / 2)
    down, right = inside
    return torch.logical_and(down[:, None, :, None], right[:, None, None, :])


MIRRORED = Augmentation("mirrored at random", mirrored)

FURTHER = (
    Augmentation("with small squares blackened", erased(0.25, "black")),
    Augmentation("with large squares blackened", erased(0.5, "black")),
    Augmentation("with small squares made of one colour", erased(0.25, "colour")),
    Augmentation("with large squares made of one colour", erased(0.5, "colour")),
    Augmentation("with small squares made noise", erased(0.25, "noise")),
    Augmentation("with large squares made noise", erased(0.5, "noise")),
    Augmentation("with other brightness, contrast and saturation", colour_jitter),
    Augmentation("with other gamma", gamma_changed),
    Augmentation("with tinted channels", tinted),
    Augmentation("mixed in pairs", mixup(1.0)),
    Augmentation("mixed in pairs, mostly a little", mixup(0.2)),
    Augmentation("with a tenth of another laid over", blended),
    Augmentation("with squares of others pasted in", cutmix),
    Augmentation("with noise", noisy),
    Augmentation("blurred", blurred),
    Augmentation("rotated", rotated),
    Augmentation("cropped and enlarged", cropped),
)
"""What is done to moved images, to all or to a share of them."""
