"""EfficientNet-Lite 0 to 2, whose ImageNet weights are cheap enough to be fine-tuned on two cores."""

from __future__ import annotations

from functools import partial

from torch import nn

from assay.data.images import Shape
from assay.targets.architectures.libraries import build_timm
from assay.targets.architectures.registry import ARCHITECTURES

NAMES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")


def _build(num_classes: int, input_shape: Shape, *, theirs: str) -> nn.Module:
    return build_timm(theirs, num_classes, input_shape)


for _name in NAMES:
    ARCHITECTURES.add(_name)(partial(_build, theirs=f"tf_{_name.replace('-', '_')}"))
