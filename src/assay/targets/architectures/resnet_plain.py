"""Small residual networks without normalisation, of the CIFAR-10 benchmark of VNN-COMP 2021 (ResNet-2B and -4B)."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from assay.data.images import Shape
from assay.targets.architectures.registry import ARCHITECTURES

HIDDEN = 100


class Block(nn.Module):
    """Two 3x3 convolutions with biases; the shortcut is a 1x1 convolution where the block strides."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))


class PlainResNet(nn.Module):
    """A stem that halves the image, stages of two blocks that halve it again, and two dense layers."""

    def __init__(self, stages: int, stem: int, num_classes: int, input_shape: Shape) -> None:
        super().__init__()
        channels, height, width = input_shape
        self.conv1 = nn.Conv2d(channels, stem, 3, stride=2, padding=1)
        inputs, outputs = stem, 2 * stem
        self.stages = stages
        for stage in range(1, stages + 1):
            self.add_module(f"layer{stage}", nn.Sequential(Block(inputs, outputs, 2), Block(outputs, outputs, 1)))
            inputs = outputs
        for _ in range(stages + 1):
            height, width = (height + 1) // 2, (width + 1) // 2
        self.linear1 = nn.Linear(outputs * height * width, HIDDEN)
        self.linear2 = nn.Linear(HIDDEN, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) to logits (n, classes)."""
        maps = F.relu(self.conv1(images))
        for stage in range(1, self.stages + 1):
            maps = self.get_submodule(f"layer{stage}")(maps)
        logits: torch.Tensor = self.linear2(F.relu(self.linear1(maps.flatten(1))))
        return logits


def _build(num_classes: int, input_shape: Shape, *, stages: int, stem: int) -> nn.Module:
    return PlainResNet(stages, stem, num_classes, input_shape)


ARCHITECTURES.add("resnet-2b")(partial(_build, stages=1, stem=8))
ARCHITECTURES.add("resnet-4b")(partial(_build, stages=2, stem=16))
