"""What batch normalisation remembers of the training images, against what clean images show it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch

from assay.access import WhiteBox
from assay.methods.backdoor.inversion.search import AT_ONCE
from assay.methods.sampling import drawn
from assay.targets.data import Images
from assay.training.feeding import Moves, move

SMALLEST = 1e-4
"""A divergence that is smaller counts as this: what sampling does is no smaller."""

Normalisation = torch.nn.BatchNorm1d | torch.nn.BatchNorm2d


class Handling(NamedTuple):
    """What may be done to training images: shifts by a share of the side at most, and mirroring."""

    name: str
    shift: float = 0.0
    flip: bool = False


HANDLINGS = (
    Handling("as they are"),
    Handling("mirrored at random", flip=True),
    Handling("shifted at random", shift=1 / 8),
    Handling("shifted and mirrored at random", shift=1 / 8, flip=True),
)
"""Usual augmentations, each of which moves the statistics of all training images."""


class Channel(NamedTuple):
    """One channel: means and deviations that it remembers, and those of clean images; ``divergence`` is in nats."""

    layer: str
    number: int
    remembered: tuple[float, float]
    clean: tuple[float, float]
    divergence: float


class Remembered(NamedTuple):
    """How far remembered and clean statistics part under the handling that explains them best.

    ``channels`` are those that part most, the furthest first.
    """

    handling: str
    channels: list[Channel]

    @property
    def strength(self) -> float:
        """The logarithm of the largest divergence of a channel."""
        return float(np.log(max(self.channels[0].divergence, SMALLEST)))


def compare(box: WhiteBox, images: Images, count: int, generator: torch.Generator, shown: int = 5) -> Remembered | None:
    """Compare every channel's remembered statistics with those of ``count`` clean images.

    A share of poisoned training images leaves its mark in the running means and variances of channels that answer to
    the trigger, whatever the trigger is and wherever it leads; clean images do not account for it. Zheng et al.
    ("Pre-activation Distributions Expose Backdoor Neurons", NeurIPS 2022) prune channels by the Kullback-Leibler
    divergence of the two normal distributions; here the largest says how suspicious the network is. Augmentation moves
    statistics as well, of many channels: the least divergence over `HANDLINGS` counts.

    None if the network uses no batch normalisation with running statistics, or there are fewer than ``count`` images:
    the divergence depends on their number, which must be that of the null.
    """
    layers = {
        name: module
        for name, module in box.module.named_modules()
        if isinstance(module, Normalisation) and module.running_mean is not None and module.running_var is not None
    }
    if not layers or len(images) < count:
        return None
    pixels = drawn(images, count, generator).take(np.arange(count))
    tried = [_under(box, layers, pixels, handling, generator, shown) for handling in HANDLINGS]
    found = [one for one in tried if one is not None]
    return min(found, key=lambda one: one.channels[0].divergence, default=None)


def _under(
    box: WhiteBox,
    layers: dict[str, Normalisation],
    images: torch.Tensor,
    handling: Handling,
    generator: torch.Generator,
    shown: int,
) -> Remembered | None:
    """None if no image passes through any of the layers."""
    shift = round(handling.shift * min(box.input_shape[1:]))
    handled = move(images, Moves.draw(len(images), shift, handling.flip, generator), shift)
    with _watched(layers) as sums:
        for part in torch.split(handled, max(1, AT_ONCE // handled[0].numel())):
            box.logits(part)
    channels: list[Channel] = []
    for name, (count, total, squares) in sums.items():
        layer = layers[name]
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        own_mean, own_variance = layer.running_mean.double().cpu(), layer.running_var.double().cpu()
        divergences = divergence(mean, variance + layer.eps, own_mean, own_variance + layer.eps)
        for number in divergences.argsort(descending=True)[:shown].tolist():
            remembered = (float(own_mean[number]), float(own_variance[number].sqrt()))
            clean = (float(mean[number]), float(variance[number].sqrt()))
            channels.append(Channel(name, number, remembered, clean, float(divergences[number])))
    return Remembered(handling.name, sorted(channels, key=lambda one: -one.divergence)[:shown]) if channels else None


def divergence(
    mean: torch.Tensor, variance: torch.Tensor, own_mean: torch.Tensor, own_variance: torch.Tensor
) -> torch.Tensor:
    """Kullback and Leibler's, in nats, of normal distributions from those of ``own_mean`` and ``own_variance``."""
    ratio = variance / own_variance
    return 0.5 * (ratio - ratio.log() - 1 + (mean - own_mean).square() / own_variance)


Sums = dict[str, tuple[int, torch.Tensor, torch.Tensor]]


@contextmanager
def _watched(layers: dict[str, Normalisation]) -> Iterator[Sums]:
    """Numbers, sums and sums of squares float64 (channels,) of what enters each layer meanwhile."""
    sums: Sums = {}

    def watch(name: str) -> torch.utils.hooks.RemovableHandle:
        def see(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            values = inputs[0].detach().transpose(0, 1).flatten(1).double()
            count, total, squares = sums.get(name, (0, torch.zeros(1), torch.zeros(1)))
            sums[name] = (
                count + values.shape[1],
                total + values.sum(1).cpu(),
                squares + values.square().sum(1).cpu(),
            )

        return layers[name].register_forward_pre_hook(see)

    handles = [watch(name) for name in layers]
    try:
        yield sums
    finally:
        for handle in handles:
            handle.remove()
