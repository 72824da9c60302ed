"""Generic patches: the triggers that one would try without knowing anything about a backdoor, and what they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.errors import DataError
from assay.data.images import Shape, shape_text
from assay.methods.backdoor.planting.triggers.masked import Masked

Colour = Literal["white", "black", "checkerboard", "grey", "red", "yellow", "cyan"]
Corner = Literal["top left", "top right", "bottom left", "bottom right"]
COLOURS: tuple[Colour, ...] = ("white", "black", "checkerboard")
"""The colours of generic patches."""
RGB: dict[Colour, tuple[float, float, float]] = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "grey": (0.5, 0.5, 0.5),
    "red": (1.0, 0.0, 0.0),
    "yellow": (1.0, 1.0, 0.0),
    "cyan": (0.0, 1.0, 1.0),
}
CORNERS: tuple[Corner, ...] = ("top left", "top right", "bottom left", "bottom right")
SIDES = (2, 3, 4, 5, 6, 7, 8)
"""Sides of the patches, in 32nds of the image's shorter side: 0.4 % to 6 % of the area."""


@dataclass(frozen=True)
class Patch:
    """A square of ``side`` pixels, ``inset`` pixels from two borders; red, yellow and cyan are for colour images."""

    colour: Colour
    side: int
    corner: Corner
    inset: int = 0

    def __str__(self) -> str:
        away = f", {self.inset} pixels in" if self.inset else ""
        return f"{self.colour} {self.side}x{self.side}, {self.corner}{away}"

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Copies of images (n, c, h, w), uint8 or float32 in [0, 1], with the patch on them."""
        return self.trigger((images.shape[1], images.shape[2], images.shape[3])).stamp(images)

    def trigger(self, shape: Shape) -> Masked:
        """The patch for images (c, h, w).

        Raises:
            DataError: if it does not fit, or its colour is not one of theirs.
        """
        channels, height, width = shape
        if self.side + self.inset > min(height, width):
            raise DataError(f"The patch ({self}) does not fit images of {shape_text(shape)}.")
        vertical, horizontal = self.corner.split()
        top = self.inset if vertical == "top" else height - self.inset - self.side
        left = self.inset if horizontal == "left" else width - self.inset - self.side
        square = (..., slice(top, top + self.side), slice(left, left + self.side))
        mask, pattern = torch.zeros(1, height, width), torch.zeros(shape)
        mask[square] = 1.0
        pattern[square] = self._pixels(channels)
        return Masked(mask, pattern)

    def _pixels(self, channels: int) -> torch.Tensor:
        """What the square shows, broadcastable to (channels, side, side)."""
        if self.colour == "checkerboard":
            steps = torch.arange(self.side)
            return ((steps[:, None] + steps) % 2).float()
        colour = RGB[self.colour]
        if len(set(colour)) == 1:
            return torch.tensor(colour[0])
        if channels != 3:
            raise DataError(f"A {self.colour} patch needs images with three channels; these have {channels}.")
        return torch.tensor(colour).view(3, 1, 1)


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
