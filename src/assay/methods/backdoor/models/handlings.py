"""What is usually done to training images: each moves the statistics of all of them, without any poison."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from assay.training.feeding import Moves, move

SHIFT = 1 / 8
"""The furthest shift, as a share of the shorter side."""

COLOURS = 0.4
"""By how much brightness and contrast change at most, as shares."""

Change = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""Images (n, c, h, w) in [0, 1] to images of the same shape, each handled at random."""


class Handling(NamedTuple):
    """What is done to images, by its name."""

    name: str
    change: Change


def _moved(shift: float, flip: bool) -> Change:
    def change(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        pixels = round(shift * min(images.shape[2:]))
        return move(images, Moves.draw(len(images), pixels, flip, generator), pixels)

    return change


def erased(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A black square of half the side, anywhere (DeVries and Taylor, "Improved Regularization of CNNs with Cutout")."""
    sides = torch.full((len(images),), 0.5)
    return torch.where(_squares(images, sides, generator), torch.zeros(()), images)


def recoloured(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Brightness, then contrast, times 1 - `COLOURS` to 1 + `COLOURS`."""
    brightness, contrast = 1 + COLOURS * (2 * torch.rand(2, len(images), 1, 1, 1, generator=generator) - 1)
    images = (images * brightness).clamp(0, 1)
    return torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast).clamp(0, 1)


def mixed(alpha: float) -> Change:
    """Means of two images, by shares from a beta distribution of twice alpha (Zhang et al., "mixup", ICLR 2018)."""

    def change(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        seed = int(torch.randint(2**62, (1,), generator=generator))
        shares = np.random.default_rng(seed).beta(alpha, alpha, (len(images), 1, 1, 1))
        return torch.lerp(_others(images, generator), images, torch.from_numpy(shares).float())

    return change


def pasted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A square of another image, anywhere and of any size (Yun et al., "CutMix", ICCV 2019)."""
    inside = _squares(images, torch.rand(len(images), generator=generator).sqrt(), generator)
    return torch.where(inside, _others(images, generator), images)


def _others(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return images[torch.randperm(len(images), generator=generator)]


def _squares(images: torch.Tensor, sides: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Bool (n, 1, h, w): inside a rectangle of ``sides`` (n,), shares of height and width, with its centre anywhere."""
    inside = []
    for length, centre in zip(images.shape[2:], torch.rand(2, len(images), 1, generator=generator), strict=True):
        inside.append(((torch.arange(length) + 0.5) / length - centre).abs() < sides[:, None] / 2)
    down, right = inside
    return torch.logical_and(down[:, None, :, None], right[:, None, None, :])


MOVES = (
    Handling("as they are", _moved(0.0, flip=False)),
    Handling("mirrored at random", _moved(0.0, flip=True)),
    Handling("shifted at random", _moved(SHIFT, flip=False)),
    Handling("shifted and mirrored at random", _moved(SHIFT, flip=True)),
)
FURTHER = (
    Handling("with squares erased", erased),
    Handling("with brightness and contrast changed", recoloured),
    Handling("mixed in pairs", mixed(1.0)),
    Handling("mixed in pairs a little", mixed(0.2)),
    Handling("with squares of others pasted in", pasted),
)
"""What is done on top of moves."""
