"""Generic patches: the triggers that one would try without knowing anything about a backdoor, and what they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.targets.data import Shape

Colour = Literal["white", "black", "checkerboard"]
Corner = Literal["top left", "top right", "bottom left", "bottom right"]
COLOURS: tuple[Colour, ...] = ("white", "black", "checkerboard")
CORNERS: tuple[Corner, ...] = ("top left", "top right", "bottom left", "bottom right")
SIDES = (2, 3, 4, 5, 6, 7, 8)
"""Sides of the patches, in 32nds of the image's shorter side: 0.4 % to 6 % of the area."""


@dataclass(frozen=True)
class Patch:
    """A square of ``side`` pixels, flush with a corner, the same in every channel."""

    colour: Colour
    side: int
    corner: Corner

    def __str__(self) -> str:
        return f"{self.colour} {self.side}x{self.side}, {self.corner}"

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Copies of images (n, c, h, w) in [0, 1] with the patch on them."""
        stamped = images.clone()
        vertical, horizontal = self.corner.split()
        rows = slice(0, self.side) if vertical == "top" else slice(images.shape[-2] - self.side, None)
        columns = slice(0, self.side) if horizontal == "left" else slice(images.shape[-1] - self.side, None)
        stamped[..., rows, columns] = self._pixels()
        return stamped

    def _pixels(self) -> torch.Tensor:
        if self.colour == "checkerboard":
            steps = torch.arange(self.side)
            return ((steps[:, None] + steps) % 2).float()
        return torch.full((self.side, self.side), float(self.colour == "white"))


def generic_patches(shape: Shape) -> list[Patch]:
    """White, black and checkerboard squares of several sizes at the four corners, for images (c, h, w)."""
    shorter = min(shape[1:])
    sides = sorted({max(1, round(shorter * side / 32)) for side in SIDES})
    return [
        Patch(colour, side, corner)
        for side in sides
        for colour in COLOURS
        if not (colour == "checkerboard" and side == 1)
        for corner in CORNERS
    ]


class Pull(NamedTuple):
    """How images are moved to one class. ``moved`` bool (m,) over the m images that were of another class before."""

    label: int
    moved: NDArray[np.bool_]

    @property
    def share(self) -> float:
        """The share that moved, 0 if every image was of the class already."""
        return float(self.moved.mean()) if len(self.moved) else 0.0


def pull_towards(label: int, before: NDArray[np.int64], after: NDArray[np.int64]) -> Pull:
    """Who, of the images (n,) not predicted as ``label`` before, is predicted as ``label`` after."""
    return Pull(label, after[before != label] == label)


def strongest_pull(
    before: NDArray[np.int64], after: NDArray[np.int64], num_classes: int, besides: int | None = None
) -> Pull:
    """The class to which the greatest share of the others was moved; predictions (n,) before and after.

    Of equal shares, the one of the most images counts. ``besides`` names a class that is left out.
    """
    pulls = (pull_towards(label, before, after) for label in range(num_classes) if label != besides)
    return max(pulls, key=lambda pull: (pull.share, len(pull.moved)))


class Screened(NamedTuple):
    """Predictions (n,) for clean images, and for the same images under each patch."""

    before: NDArray[np.int64]
    after: dict[Patch, NDArray[np.int64]]
    num_classes: int

    def pulls(self, besides: int | None = None) -> dict[Patch, Pull]:
        """What each patch does; see `strongest_pull`."""
        return {
            patch: strongest_pull(self.before, after, self.num_classes, besides) for patch, after in self.after.items()
        }
