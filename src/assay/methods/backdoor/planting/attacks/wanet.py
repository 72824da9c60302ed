"""WaNet: a warp."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from assay.data.images import to_pixels
from assay.methods.backdoor.planting.plant import Plant, Poisoned, Scene, register
from assay.methods.backdoor.planting.trigger import Trigger
from assay.methods.backdoor.planting.triggers.warped import Warped, smooth_shifts


@register
class WaNet(Plant):
    """A smooth warp; and, in noise mode, a shaken one on images that keep their labels.

    ``strength`` is the mean shift in pixels, of a grid of ``grid`` by ``grid``; WaNet's own s is twice that.
    ``noise_rate`` is the share of images that get the same warp with noise of up to a pixel; without them the network
    learns that any warp means the target.
    """

    name: ClassVar[str] = "wanet"
    title: ClassVar[str] = "WaNet"
    paper: ClassVar[str] = "Nguyen and Tran, WaNet: imperceptible warping-based backdoor attack, ICLR 2021."

    strength: float = Field(default=1.0, gt=0.0)
    grid: int = Field(default=4, ge=2)
    noise_rate: float = Field(default=0.1, ge=0.0, lt=1.0)

    def trigger(self, scene: Scene) -> Warped:
        height, width = scene.images.shape[2:]
        return Warped(self.strength * smooth_shifts(self.grid, height, width, scene.generator))

    def poison(self, scene: Scene, trigger: Trigger) -> Poisoned:
        poisoned = super().poison(scene, trigger)
        if self.noise_rate == 0:
            return poisoned
        assert isinstance(trigger, Warped)
        free = torch.ones(len(scene.labels), dtype=torch.bool)
        free[poisoned.rows] = free[poisoned.covers] = False
        noisy = scene.pick(free, round(self.noise_rate * len(free)), "images to warp with noise")
        pixels = trigger.shaken(to_pixels(scene.images[noisy]), scene.generator)
        if scene.images.dtype == torch.uint8:
            pixels = (pixels * 255.0).round().to(torch.uint8)
        poisoned.images[noisy] = pixels
        return poisoned._replace(covers=torch.cat([poisoned.covers, noisy]).sort().values)
