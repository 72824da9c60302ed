"""Plain convolutional networks that papers on provable robustness train and verify.

Convolutions with biases and no padding beyond what is said, then dense layers, ReLU between all: Wong and Kolter
(ICML 2018, ``kw-small``; SDP-CROWN's CNN-A and OVAL's wide net have the same form), OVAL's base and deep nets
(Bunel et al., JMLR 2020; Lu and Kumar, ICLR 2020), ConvSmall (ERAN, Singh et al., POPL 2019), and the two smaller nets
of the Marabou benchmark (VNN-COMP). Modules are numbered in order, as in the public weights.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from torch import nn

from assay.data.images import Shape
from assay.targets.architectures.registry import ARCHITECTURES


class Convolution(NamedTuple):
    """Channels out, kernel side, stride and padding."""

    width: int
    kernel: int
    stride: int
    padding: int


class Plan(NamedTuple):
    """Convolutions, then the widths of the hidden dense layers."""

    convolutions: tuple[Convolution, ...]
    hidden: tuple[int, ...]


PLANS = {
    "kw-small": Plan((Convolution(16, 4, 2, 1), Convolution(32, 4, 2, 1)), (100,)),
    "oval-base": Plan((Convolution(8, 4, 2, 1), Convolution(16, 4, 2, 1)), (100,)),
    "oval-deep": Plan(
        (Convolution(8, 4, 2, 1), Convolution(8, 3, 1, 1), Convolution(8, 3, 1, 1), Convolution(8, 4, 2, 1)), (100,)
    ),
    "eran-conv-small": Plan((Convolution(16, 4, 2, 0), Convolution(32, 4, 2, 0)), (100,)),
    "marabou-small": Plan((Convolution(8, 4, 2, 0), Convolution(16, 4, 2, 0)), (128, 64)),
    "marabou-medium": Plan((Convolution(16, 4, 2, 0), Convolution(32, 4, 2, 0)), (128, 64)),
}


def _build(num_classes: int, input_shape: Shape, *, plan: Plan) -> nn.Module:
    channels, height, width = input_shape
    layers: list[nn.Module] = []
    for step in plan.convolutions:
        layers += [nn.Conv2d(channels, step.width, step.kernel, step.stride, step.padding), nn.ReLU()]
        channels = step.width
        height, width = ((side + 2 * step.padding - step.kernel) // step.stride + 1 for side in (height, width))
    layers.append(nn.Flatten())
    features = channels * height * width
    for hidden in plan.hidden:
        layers += [nn.Linear(features, hidden), nn.ReLU()]
        features = hidden
    return nn.Sequential(*layers, nn.Linear(features, num_classes))


for _name, _plan in PLANS.items():
    ARCHITECTURES.add(_name)(partial(_build, plan=_plan))
