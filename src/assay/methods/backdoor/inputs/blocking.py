"""NEO's building blocks: where to block an image, in which colour, and a region moved onto other images."""

from __future__ import annotations

from typing import NamedTuple

import torch

from assay.data.images import Shape

CLUSTERS = 3
"""Clusters among an image's pixels; the centre of the largest is its dominant colour."""

ROUNDS = 20
"""Rounds of Lloyd's algorithm at most."""


class Block(NamedTuple):
    """A square of ``side`` pixels with its upper left corner in row ``top``, column ``left``."""

    top: int
    left: int
    side: int

    @property
    def rows(self) -> slice:
        """The rows of pixels that it covers."""
        return slice(self.top, self.top + self.side)

    @property
    def columns(self) -> slice:
        """The columns of pixels that it covers."""
        return slice(self.left, self.left + self.side)


class Region(NamedTuple):
    """A region of an image (c, h, w) that hides another class, and leads clean images to the class that it shows.

    ``label`` is the image's class, ``beneath`` the one that shows when the region is blocked, ``share`` the share of
    clean images that the region leads to ``label``, ``clean`` (c, h, w) one of these images.
    """

    image: torch.Tensor
    place: Block
    label: int
    beneath: int
    share: float
    clean: torch.Tensor


def blocks(shape: Shape, side: int, stride: int) -> list[Block]:
    """All places of a block on images (c, h, w), ``stride`` pixels apart, flush with every edge.

    Whatever square of up to ``side - stride + 1`` pixels lies on the image, wherever it lies, one of the blocks covers
    it completely.
    """
    tops, lefts = (sorted({*range(0, length - side, stride), length - side}) for length in shape[1:])
    return [Block(top, left, side) for top in tops for left in lefts]


def dominant_colour(image: torch.Tensor) -> torch.Tensor:
    """The dominant colour (c,) of an image (c, h, w): the centre of the largest of three k-means clusters of pixels.

    The centres start at the pixels whose brightness is the 1st, 3rd and 5th sixth of all, so that the same image has
    the same colour. Of equally large clusters the darkest at the start counts.
    """
    pixels = image.flatten(1).T
    order = pixels.sum(dim=1).argsort(stable=True)
    centres = pixels[order[[len(order) * (2 * i + 1) // (2 * CLUSTERS) for i in range(CLUSTERS)]]]
    sizes = torch.zeros(CLUSTERS)
    for _ in range(ROUNDS):
        nearest = (pixels[:, None] - centres).square().sum(dim=2).argmin(dim=1)
        members = torch.nn.functional.one_hot(nearest, CLUSTERS).to(pixels.dtype)
        sizes = members.sum(dim=0)
        means = (members.T @ pixels) / sizes.clamp_min(1)[:, None]
        moved = torch.where(sizes[:, None] > 0, means, centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres[sizes.argmax()]


def blocked(image: torch.Tensor, places: list[Block], colour: torch.Tensor) -> torch.Tensor:
    """Copies (m, c, h, w) of an image (c, h, w), each with one block in a colour (c,)."""
    copies = image.repeat(len(places), 1, 1, 1)
    for copy, place in zip(copies, places, strict=True):
        copy[:, place.rows, place.columns] = colour[:, None, None]
    return copies


def transplanted(image: torch.Tensor, place: Block, onto: torch.Tensor) -> torch.Tensor:
    """Copies of images (m, c, h, w) with a region of another (c, h, w) at its own place."""
    copies = onto.clone()
    copies[..., place.rows, place.columns] = image[:, place.rows, place.columns]
    return copies
