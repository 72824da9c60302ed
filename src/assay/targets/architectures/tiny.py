"""A residual network and a vision transformer small enough to train hundreds of them on a few cores."""

from __future__ import annotations

import torch
from torch import nn

from assay.data.images import Shape
from assay.targets.architectures.digits import Block, Residual
from assay.targets.architectures.registry import ARCHITECTURES


@ARCHITECTURES.add("tiny-resnet")
def tiny_resnet(num_classes: int, input_shape: Shape) -> nn.Module:
    """A stem of stride 2, three residual blocks of 16, 32 and 64 channels, then the mean over all positions."""
    return nn.Sequential(
        nn.Conv2d(input_shape[0], 16, 3, 2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Residual(16, 16, 1),
        Residual(16, 32, 2),
        Residual(32, 64, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, num_classes),
    )


WIDTH, DEPTH, HEADS, STRIDE = 64, 3, 4, 8


class TinyVit(nn.Module):
    """Three blocks of 64 units and 4 heads on a grid of tokens, 8x8 pixels apart; the mean of all is classified.

    Tokens come from three convolutions: with plain patches, a transformer this small needs far more training (Xiao et
    al., Early convolutions help transformers see better, NeurIPS 2021).
    """

    def __init__(self, num_classes: int, input_shape: Shape) -> None:
        super().__init__()
        channels, height, width = input_shape
        self.embed = nn.Sequential(
            nn.Conv2d(channels, 24, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.Conv2d(24, 48, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(48),
            nn.ReLU(),
            nn.Conv2d(48, WIDTH, 3, 2, padding=1),
        )
        tokens = -(-height // STRIDE) * -(-width // STRIDE)
        self.position = nn.Parameter(0.02 * torch.randn(1, tokens, WIDTH))
        self.blocks = nn.Sequential(*(Block(WIDTH, HEADS) for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) to logits (n, classes)."""
        tokens = self.embed(images).flatten(2).transpose(1, 2) + self.position
        logits: torch.Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return logits


@ARCHITECTURES.add("tiny-vit")
def tiny_vit(num_classes: int, input_shape: Shape) -> nn.Module:
    """A `TinyVit` of about 140,000 parameters."""
    return TinyVit(num_classes, input_shape)
