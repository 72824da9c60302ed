"""A small convolutional network for any images: the default surrogate of an attacker who does not know the target."""

from __future__ import annotations

from torch import nn

from assay.data.images import Shape
from assay.targets.architectures.registry import ARCHITECTURES

WIDTHS = (32, 64, 128)


@ARCHITECTURES.add("small-cnn")
def small_cnn(num_classes: int, input_shape: Shape) -> nn.Module:
    """Three pairs of normalised 3x3 convolutions, each halving the image, then the mean over all positions.

    About 290,000 parameters, for images of at least 8x8 pixels and any number of channels.
    """
    layers: list[nn.Module] = []
    inputs = input_shape[0]
    for width in WIDTHS:
        for _ in range(2):
            layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, num_classes))
