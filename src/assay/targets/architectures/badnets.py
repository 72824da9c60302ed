"""The network in which BadNets plants its backdoors (Gu et al., 2017, table 1), as verazuo/badnets-pytorch names it."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from assay.data.images import Shape
from assay.targets.architectures.registry import ARCHITECTURES


@ARCHITECTURES.add("badnets-cnn")
def badnets_cnn(num_classes: int, input_shape: Shape) -> nn.Module:
    """Two 5x5 convolutions of 16 and 32 channels, each followed by average pooling, and a hidden layer of 512 units."""
    channels, height, width = input_shape
    sides = [((side - 4) // 2 - 4) // 2 for side in (height, width)]
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Sequential(nn.Conv2d(channels, 16, 5), nn.ReLU(), nn.AvgPool2d(2)),
            conv2=nn.Sequential(nn.Conv2d(16, 32, 5), nn.ReLU(), nn.AvgPool2d(2)),
            flatten=nn.Flatten(),
            fc1=nn.Sequential(nn.Linear(32 * sides[0] * sides[1], 512), nn.ReLU()),
            fc2=nn.Sequential(nn.Linear(512, num_classes)),
        )
    )
