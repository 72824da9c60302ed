"""A very small convolutional network, for training many shadow models on few cores."""

from __future__ import annotations

import torch
from torch import nn

from assay.data.images import Shape
from assay.targets.architectures.registry import ARCHITECTURES


@ARCHITECTURES.add("tiny-cnn")
def tiny_cnn(num_classes: int, input_shape: Shape) -> nn.Module:
    """Three normalised convolutions, the first two with stride 2, and a hidden layer over all positions.

    About 300,000 parameters for 3x32x32 images, most of them in the hidden layer, so that it fits its training set
    closely; a tenth of the multiplications of ``small-cnn``. For images of at least 4x4 pixels.
    """
    layers: list[nn.Module] = []
    inputs = input_shape[0]
    for width, kernel, stride in ((24, 4, 2), (48, 3, 2), (64, 3, 1)):
        layers += [nn.Conv2d(inputs, width, kernel, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        inputs = width
    body = nn.Sequential(*layers, nn.Flatten())
    with torch.no_grad():
        features = body.eval()(torch.zeros(1, *input_shape)).shape[1]
    return nn.Sequential(body.train(), nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, num_classes))
