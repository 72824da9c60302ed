"""The registry of architectures, and one function that builds Assay's, timm's and torchvision's."""

from __future__ import annotations

from typing import Protocol

import torch

from assay.base.registry import Registry
from assay.data.images import Shape


class Builder(Protocol):
    """Builds a network with random weights; its forward pass gives logits (n, num_classes)."""

    def __call__(self, num_classes: int, input_shape: Shape) -> torch.nn.Module: ...


ARCHITECTURES: Registry[Builder] = Registry("architecture", "assay.targets.architectures")


def build(name: str, num_classes: int, input_shape: Shape) -> torch.nn.Module:
    """A network by name: one of ours, ``timm:NAME``, ``torchvision:NAME`` or ``text:NAME``, with random weights.

    Raises:
        UsageError: if the name is unknown; the message names the nearest.
        DataError: if the network cannot be built for such an input.
    """
    from assay.targets.architectures.libraries import build_timm, build_torchvision

    library, _, theirs = name.partition(":")
    if theirs and library == "timm":
        return build_timm(theirs, num_classes, input_shape)
    if theirs and library == "torchvision":
        return build_torchvision(theirs, num_classes, input_shape)
    if theirs and library == "text":
        from assay.targets.text.families import build_text

        return build_text(theirs, num_classes, input_shape)
    return ARCHITECTURES.get(name)(num_classes, input_shape)
