"""Residual networks for 32x32 images whose shortcuts have no parameters (He et al., CVPR 2016, section 4.2, option A).

Module names are those of the public weights of akamaster/pytorch_resnet_cifar10.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from assay.data.images import Shape
from assay.targets.architectures.registry import ARCHITECTURES

WIDTHS = (16, 32, 64)
DEPTHS = (20, 32, 44, 56, 110)


class Block(nn.Module):
    """Two normalised 3x3 convolutions; the shortcut skips pixels and fills up with channels of zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.added = stride, outputs - inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        before = self.added // 2
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.added - before))
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + shortcut)


class ResNet(nn.Module):
    """Three stages of ``blocks`` blocks each, 6 x blocks + 2 layers deep."""

    def __init__(self, blocks: int, num_classes: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(Block(inputs, outputs, stride), *(Block(outputs, outputs, 1) for _ in range(blocks - 1)))
            for inputs, outputs, stride in zip((WIDTHS[0], *WIDTHS), WIDTHS, (1, 2, 2), strict=False)
        )
        self.linear = nn.Linear(WIDTHS[-1], num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) to logits (n, classes)."""
        maps = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(images))))))
        logits: torch.Tensor = self.linear(maps.mean(dim=(2, 3)))
        return logits


def _build(num_classes: int, input_shape: Shape, *, depth: int) -> nn.Module:
    return ResNet((depth - 2) // 6, num_classes, input_shape[0])


for _depth in DEPTHS:
    ARCHITECTURES.add(f"resnet{_depth}")(partial(_build, depth=_depth))
