"""ResNet-18 for small images: a 3x3 stem without pooling (the usual adaptation of He et al., CVPR 2016, to 32x32)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from assay.data.images import Shape
from assay.targets.architectures.registry import ARCHITECTURES

WIDTHS = (64, 128, 256, 512)


class Block(nn.Module):
    """Two normalised 3x3 convolutions around a shortcut, which is a normalised 1x1 convolution at a new shape."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.extend([nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class ResNet18(nn.Module):
    """Four stages of two blocks."""

    def __init__(self, num_classes: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(Block(inputs, outputs, 1 if inputs == outputs else 2), Block(outputs, outputs, 1))
            for inputs, outputs in zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False)
        )
        self.linear = nn.Linear(WIDTHS[-1], num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) to logits (n, classes)."""
        maps = self.layer2(self.layer1(F.relu(self.bn1(self.conv1(images)))))
        logits: torch.Tensor = self.linear(self.layer4(self.layer3(maps)).mean(dim=(2, 3)))
        return logits


@ARCHITECTURES.add("resnet18-cifar")
def resnet18(num_classes: int, input_shape: Shape) -> nn.Module:
    """ResNet-18 of 11.2 million parameters, for images from 8x8 pixels."""
    return ResNet18(num_classes, input_shape[0])
