"""Batches for training: images that stay on the device, shifted and mirrored there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import pad

from assay.base.errors import DataError
from assay.data.images import Images, to_pixels
from assay.training.augment import draw_warps, warped

RESIDENT_BYTES = 4 << 30
"""A set that takes more than this as uint8 is read batch by batch instead of being kept on the device."""


GREY = 0.5
"""What a hole is filled with."""


class Moves(NamedTuple):
    """How each image is moved: crop offsets int64 (n, 2) in the padded image (down, right), and mirroring bool (n,).

    ``holes`` float (n, 2) in [0, 1) is where the middle of a square is that is cut out, if one is; ``warps`` (n, 2, 3)
    are turns and crops, if there are any (`assay.training.augment.draw_warps`).
    """

    offsets: torch.Tensor
    mirror: torch.Tensor
    holes: torch.Tensor | None = None
    warps: torch.Tensor | None = None

    @classmethod
    def draw(
        cls,
        count: int,
        shift: int,
        flip: bool,
        generator: torch.Generator | None = None,
        *,
        cut: bool = False,
        rotate: float = 0.0,
        crop: float = 1.0,
    ) -> Moves:
        """Uniform offsets in 0..2 ``shift``; each image mirrored with probability 1/2 if ``flip``; holes if ``cut``.

        Turns by at most ``rotate`` degrees, and crops of at least the share ``crop`` of the image.
        Without a generator, the global one is drawn from.
        """
        offsets = torch.randint(0, 2 * shift + 1, (count, 2), generator=generator)
        mirror = torch.rand(count, generator=generator) < (0.5 if flip else 0.0)
        holes = torch.rand(count, 2, generator=generator) if cut else None
        warps = draw_warps(count, rotate, crop, generator) if rotate or crop < 1 else None
        return cls(offsets, mirror, holes, warps)

    def of(self, rows: torch.Tensor) -> Moves:
        """Those of some images."""
        holes, warps = (None if part is None else part[rows] for part in (self.holes, self.warps))
        return Moves(self.offsets[rows], self.mirror[rows], holes, warps)

    def to(self, device: torch.device) -> Moves:
        """The same on a device."""
        holes, warps = (None if part is None else part.to(device) for part in (self.holes, self.warps))
        return Moves(self.offsets.to(device), self.mirror.to(device), holes, warps)


def move(images: torch.Tensor, moves: Moves, shift: int) -> torch.Tensor:
    """Images (n, c, h, w) padded by ``shift`` black pixels, cropped at their offsets, and mirrored left to right."""
    count, _, height, width = images.shape
    down = moves.offsets[:, :1] + torch.arange(height, device=images.device)
    right = moves.offsets[:, 1:] + torch.arange(width, device=images.device)
    right = torch.where(moves.mirror[:, None], right.flip(1), right)
    each = torch.arange(count, device=images.device)[:, None, None]
    return pad(images, (shift,) * 4)[each, :, down[:, :, None], right[:, None, :]].permute(0, 3, 1, 2)


def cut_out(images: torch.Tensor, holes: torch.Tensor, side: int) -> torch.Tensor:
    """Images float (n, c, h, w) in [0, 1] with a grey square of ``side`` pixels around ``holes`` (n, 2) in [0, 1).

    A square that reaches beyond an edge is the smaller by that (DeVries and Taylor, Improved Regularization of
    Convolutional Neural Networks with Cutout, arXiv 1708.04552, section 3).
    """
    height, width = images.shape[-2:]
    inside = []
    for axis, length in enumerate((height, width)):
        first = (holes[:, axis] * length).long()[:, None] - side // 2
        place = torch.arange(length, device=images.device)
        inside.append((place >= first) & (place < first + side))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(hole, GREY, images)


def moved(images: torch.Tensor, shift: int, flip: bool) -> torch.Tensor:
    """Images (n, c, h, w), each shifted and mirrored at random by the global generator; see `Moves.draw`."""
    if not (shift or flip):
        return images
    return move(images, Moves.draw(len(images), shift, flip).to(images.device), shift)


class Feed:
    """Images and targets on a device, handed out by rows.

    Images are held as uint8 wherever that loses nothing, and turned into float32 in [0, 1] batch by batch. Features
    float32 (n, d) are handed out as they are.
    """

    def __init__(self, images: torch.Tensor | Images, targets: torch.Tensor, device: torch.device) -> None:
        """Move a set to the device once.

        Raises:
            DataError: if there are no images, their number or shape is wrong, pixels are out of range, or targets are
                neither int64 (n,), non-negative, nor finite floats (n, classes).
        """
        count = len(images)
        if count == 0:
            raise DataError("There are no images to train on.")
        if len(targets) != count:
            raise DataError(f"There are {count} images to train on, but {len(targets)} targets.")
        self.targets = _checked(targets).to(device)
        self.device = device
        self._stream: Images | None = None
        if isinstance(images, torch.Tensor):
            if images.ndim not in (2, 4):
                raise DataError(f"Images must be (n, channels, height, width); these are {tuple(images.shape)}.")
            self._held = (images if images.dtype == torch.uint8 or images.ndim == 2 else to_pixels(images)).to(device)
        elif count * int(np.prod(images.shape)) > RESIDENT_BYTES:
            self._stream = images
        else:
            self._held = gather(images).to(device)

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: torch.Tensor, moves: Moves | None = None, shift: int = 0, cutout: int = 0) -> torch.Tensor:
        """Images float32 (k, c, h, w) in [0, 1] of rows int64 (k,) on the device, moved and cut out if asked."""
        if self._stream is None:
            images = self._held.index_select(0, rows)
        else:
            images = self._stream.take(rows.cpu().numpy()).to(self.device)
        if images.ndim != 4:
            return images
        if moves is not None:
            images = move(images, moves, shift)
        images = images.to(torch.float32).div_(255.0) if images.dtype == torch.uint8 else images
        if moves is not None and moves.warps is not None:
            images = warped(images, moves.warps)
        return images if moves is None or moves.holes is None else cut_out(images, moves.holes, cutout)


def gather(images: Images, chunk: int = 1024) -> torch.Tensor:
    """A whole set (n, c, h, w): uint8 if every pixel is a multiple of 1/255, float32 otherwise."""
    rows = np.arange(len(images))
    parts = [_compact(images.take(rows[start : start + chunk])) for start in range(0, len(rows), chunk)]
    if any(part.dtype != torch.uint8 for part in parts):
        parts = [to_pixels(part) for part in parts]
    return torch.cat(parts)


def _compact(pixels: torch.Tensor) -> torch.Tensor:
    whole = (pixels * 255.0).round().to(torch.uint8)
    return whole if torch.equal(to_pixels(whole), pixels) else pixels


def _checked(targets: torch.Tensor) -> torch.Tensor:
    if targets.ndim == 2 and targets.is_floating_point():
        if not bool(torch.isfinite(targets).all()):
            raise DataError("The targets to train on hold NaN or infinity.")
        return targets.to(torch.float32)
    if targets.ndim == 1 and not targets.is_floating_point():
        if int(targets.min()) < 0:
            raise DataError("The labels to train on must not be negative.")
        return targets.to(torch.int64)
    raise DataError(f"Targets must be labels (n,) or posteriors (n, classes); these are {tuple(targets.shape)}.")
