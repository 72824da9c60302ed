"""A perceptron for vectors of features: the usual surrogate and shadow model of tabular targets."""

from __future__ import annotations

from torch import nn

from assay.base.errors import DataError
from assay.data.images import Shape, shape_text
from assay.targets.architectures.registry import ARCHITECTURES

WIDTH = 128


@ARCHITECTURES.add("vector:mlp")
def perceptron(num_classes: int, input_shape: Shape) -> nn.Module:
    """Two hidden layers of 128 units with ReLU, for rows (n, 1, 1, features).

    Raises:
        DataError: if the input is an image.
    """
    if input_shape[:2] != (1, 1):
        raise DataError(f"vector:mlp reads vectors, and the input is an image of {shape_text(input_shape)}.")
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(input_shape[2], WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, num_classes),
    )
