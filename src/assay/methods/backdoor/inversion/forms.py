"""What a trigger may look like: how it is described by numbers, laid on images, and how large it is."""

from __future__ import annotations

import math
from typing import Protocol

import torch

from assay.data.images import Shape

EPSILON = 1e-7
"""Keeps the inverse of tanh finite at the ends of [0, 1]; the reference's value."""

Variables = tuple[torch.Tensor, ...]
"""What describes one trigger per arm: tensors (arms, ...)."""


class Form(Protocol):
    """A kind of trigger."""

    def start(self, arms: int, generator: torch.Generator) -> Variables:
        """Variables of random triggers to start from."""
        ...

    def stamp(self, variables: Variables, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) in [0, 1] under each arm's trigger, (arms, n, c, h, w)."""
        ...

    def size(self, variables: Variables) -> torch.Tensor:
        """How large each trigger is, (arms,), in the units that are weighed against the loss."""
        ...

    def extent(self, variables: Variables, sizes: torch.Tensor) -> torch.Tensor:
        """What has to become smaller for a new best, (arms,), from the variables and the mean sizes of a round."""
        ...

    def tidied(self, variables: Variables) -> Variables:
        """What a search goes on with after a new best: the same, or without what is too small to be seen."""
        ...

    def mask(self, variables: Variables) -> torch.Tensor:
        """Where each trigger acts, (arms, 1, h, w) in [0, 1]."""
        ...


def squashed(free: torch.Tensor) -> torch.Tensor:
    """Any number to [0, 1]: ``tanh(free) / (2 - epsilon) + 0.5``."""
    return torch.tanh(free) / (2 - EPSILON) + 0.5


def unsquashed(value: torch.Tensor) -> torch.Tensor:
    """The inverse of `squashed` for values in [0, 1]."""
    return torch.atanh((value - 0.5) * (2 - EPSILON))


class Patch:
    """A pattern that replaces pixels where a mask says so (Neural Cleanse, section V-A, equation 2).

    Variables are the mask (arms, 1, h, w), one for all channels, and the pattern (arms, c, h, w), both before
    `squashed`; stamped images are ``(1 - mask) * image + mask * pattern`` in pixels of [0, 1]; the size is the mask's
    L1 norm in pixels. With ``grid`` above 1 the mask has one entry per square of that many pixels: for a transformer,
    the side of its patches.
    """

    def __init__(self, shape: Shape, grid: int = 1) -> None:
        self.shape = shape
        self.grid = grid

    def start(self, arms: int, generator: torch.Generator) -> Variables:
        """Both uniform in [0, 1)."""
        channels, height, width = self.shape
        cells = (math.ceil(height / self.grid), math.ceil(width / self.grid))
        mask = torch.rand(arms, 1, *cells, generator=generator)
        pattern = torch.rand(arms, channels, height, width, generator=generator)
        return unsquashed(mask), unsquashed(pattern)

    def stamp(self, variables: Variables, images: torch.Tensor) -> torch.Tensor:
        """Images with each arm's pattern where its mask is."""
        mask, pattern = self.mask(variables)[:, None], squashed(variables[1])[:, None]
        return (1 - mask) * images + mask * pattern

    def size(self, variables: Variables) -> torch.Tensor:
        """The sum of each mask, in pixels."""
        return self.mask(variables).flatten(1).sum(1)

    def extent(self, variables: Variables, sizes: torch.Tensor) -> torch.Tensor:
        """How large a trigger is: its size."""
        return sizes

    def tidied(self, variables: Variables) -> Variables:
        """The variables as they are."""
        return variables

    def mask(self, variables: Variables) -> torch.Tensor:
        """Masks (arms, h, w) in [0, 1]."""
        mask = squashed(variables[0])
        if self.grid == 1:
            return mask
        enlarged = mask.repeat_interleave(self.grid, 2).repeat_interleave(self.grid, 3)
        return enlarged[:, :, : self.shape[1], : self.shape[2]]


class PixelChange:
    """Values added to pixels and subtracted from them (Tao et al., CVPR 2022, section 4).

    Variables are what is added and what is subtracted, (arms, c, h, w), each taken within [0, 1]; stamped images are
    ``clip(image + added - subtracted)``; the size is the smooth count of pixels ``sum(max over channels of
    squashed(v / 10))`` over both. Changes below `VISIBLE` are dropped whenever a search succeeds.
    """

    VISIBLE = 1 / 255

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def start(self, arms: int, generator: torch.Generator) -> Variables:
        """Both uniform in [0, 1)."""
        added = torch.rand(arms, *self.shape, generator=generator)
        return added, torch.rand(arms, *self.shape, generator=generator)

    def stamp(self, variables: Variables, images: torch.Tensor) -> torch.Tensor:
        """Images with the change added, clipped to [0, 1]."""
        added, subtracted = variables
        return (images + (added.clamp(0, 1) - subtracted.clamp(0, 1))[:, None]).clamp(0, 1)

    def size(self, variables: Variables) -> torch.Tensor:
        """The number of pixels that each arm changes, smoothed."""
        return sum((squashed(v / 10).amax(1).flatten(1).sum(1) for v in variables), torch.zeros(1))

    def tidied(self, variables: Variables) -> Variables:
        """Values in [0, 1], those below `VISIBLE` set to 0."""
        return tuple(torch.where(v < self.VISIBLE, 0.0, v.clamp(0, 1)) for v in variables)

    def change(self, variables: Variables) -> torch.Tensor:
        """What is added to the images in sum, (arms, c, h, w) in [-1, 1]."""
        added, subtracted = self.tidied(variables)
        return added - subtracted

    def extent(self, variables: Variables, sizes: torch.Tensor) -> torch.Tensor:
        """How many pixels each trigger changes."""
        return (self.change(variables) != 0).any(1).flatten(1).sum(1).double()

    def mask(self, variables: Variables) -> torch.Tensor:
        """The largest change of any channel."""
        return self.change(variables).abs().amax(1, keepdim=True)
