"""A trigger that a small network draws for each image anew."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn.functional import conv2d, interpolate

from assay.methods.backdoor.planting.trigger import Trigger, trigger

WIDTH = 16
"""Channels of the generator's hidden layers."""


@trigger
@dataclass(frozen=True, eq=False)
class Generated(Trigger):
    """Mask and pattern from three 3x3 convolutions of the image, the first with stride 2, then mixed as `Masked` does.

    After Nguyen and Tran, Input-aware dynamic backdoor attack, NeurIPS 2020, section 3.2, which has a network for the
    mask and a deeper one for the pattern.
    """

    name: ClassVar[str] = "generated"
    first: torch.Tensor
    first_bias: torch.Tensor
    second: torch.Tensor
    second_bias: torch.Tensor
    last: torch.Tensor
    last_bias: torch.Tensor

    @classmethod
    def draw(cls, channels: int, generator: torch.Generator) -> Generated:
        """One with random weights, whose mask is nearly empty."""

        def weights(outputs: int, inputs: int) -> torch.Tensor:
            return torch.randn(outputs, inputs, 3, 3, generator=generator) * math.sqrt(2.0 / (9 * inputs))

        hidden = torch.zeros(WIDTH)
        bias = torch.zeros(1 + channels)
        bias[0] = -2.0
        first, second, last = weights(WIDTH, channels), weights(WIDTH, WIDTH), weights(1 + channels, WIDTH)
        return cls(first, hidden, second, hidden.clone(), last, bias)

    def drawn_for(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask (n, 1, h, w) and pattern (n, c, h, w), both in [0, 1], for each image."""
        hidden = conv2d(pixels, self.first, self.first_bias, stride=2, padding=1).relu()
        hidden = conv2d(hidden, self.second, self.second_bias, padding=1).relu()
        hidden = interpolate(hidden, pixels.shape[-2:], mode="nearest")
        drawn = conv2d(hidden, self.last, self.last_bias, padding=1).sigmoid()
        return drawn[:, :1], drawn[:, 1:]

    def change(self, pixels: torch.Tensor) -> torch.Tensor:
        mask, pattern = self.drawn_for(pixels)
        return torch.lerp(pixels, pattern, mask)
