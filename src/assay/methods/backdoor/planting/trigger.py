"""The trigger as a type, and its registry."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import torch

from assay.base.errors import DataError
from assay.base.registry import Registry
from assay.data.images import to_pixels

CHUNK = 1024
"""Images stamped at a time."""


@dataclass(frozen=True, eq=False)
class Trigger:
    """A change of images; every field is a tensor, so that a file of tensors says all of it."""

    name: ClassVar[str]

    def change(self, pixels: torch.Tensor) -> torch.Tensor:
        """Images float32 (n, c, h, w) in [0, 1] to changed ones, differentiable."""
        raise NotImplementedError

    @torch.no_grad()
    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Copies of images (n, c, h, w), uint8 or float32 in [0, 1], with the trigger; of the same type.

        Raises:
            DataError: if the images are not such.
        """
        if images.ndim != 4:
            raise DataError(f"Images must be (n, channels, height, width); these are {tuple(images.shape)}.")
        changed = [self.change(to_pixels(part)) for part in torch.split(images, CHUNK)]
        if images.dtype == torch.uint8:
            changed = [(part * 255.0).round().to(torch.uint8) for part in changed]
        return torch.cat(changed) if changed else images.clone()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Field name to tensor, detached, on the CPU, contiguous."""
        return {f.name: getattr(self, f.name).detach().cpu().contiguous() for f in fields(self)}


TRIGGERS: Registry[type[Trigger]] = Registry("trigger", "assay.methods.backdoor.planting.triggers")


def trigger(kind: type[Trigger]) -> type[Trigger]:
    """Class decorator that registers a form of triggers under its own name."""
    return TRIGGERS.add(kind.name)(kind)
