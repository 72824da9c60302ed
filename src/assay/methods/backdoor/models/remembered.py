"""What batch normalisation remembers of the training images, against what clean images show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from math import ceil
from typing import NamedTuple

import numpy as np
import torch

from assay.access import WhiteBox
from assay.methods.backdoor.inversion.search import AT_ONCE
from assay.methods.backdoor.models.handlings import FURTHER, MOVES
from assay.methods.sampling import drawn
from assay.targets.data import Images

AMPLIFIED = 20.0
"""How many times a surplus is laid over images: whole, if one in so many training images carried what it comes from."""

PARTS = 3
"""The last of so many parts of the layers counts: what moves the answer shows most where the answer is near."""

IMAGES_A_CHANNEL = 4
"""A layer with more channels than a fourth of the images is judged by that many, drawn at random."""

RIDGE = 1e-3
"""Added to the variance of every channel, as a share of their mean, so that none that stands still divides by 0."""

MUCH = 0.5
"""By how much a strength must fall for a further handling to be believed."""

SMALLEST = 1e-2
"""A distance that is smaller counts as this."""

Normalisation = torch.nn.BatchNorm1d | torch.nn.BatchNorm2d


class Layer(NamedTuple):
    """One layer of batch normalisation.

    ``distance`` is how far its running mean lies from that of clean images: Hotelling's T² as an F statistic, about 1
    where only chance parts them. ``surplus`` float32 (channels,) is their difference.
    """

    name: str
    distance: float
    surplus: torch.Tensor


class Remembered(NamedTuple):
    """All layers, in the order in which images pass them, under the handling that explains them best."""

    handling: str
    layers: list[Layer]

    @property
    def deep(self) -> list[Layer]:
        """The last of `PARTS` parts of the layers, at least one layer."""
        return self.layers[-ceil(len(self.layers) / PARTS) :]

    @property
    def strength(self) -> float:
        """The mean logarithm of the deep layers' distances."""
        return float(np.mean(np.log([max(layer.distance, SMALLEST) for layer in self.deep])))


def compare(box: WhiteBox, images: Images, count: int, generator: torch.Generator) -> Remembered | None:
    """Compare every layer's remembered mean with that of ``count`` clean images.

    A share of poisoned training images leaves its mark in the running means of channels that answer to the trigger,
    whatever the trigger is and wherever it leads; clean images do not account for it. Zheng et al. ("Pre-activation
    Distributions Expose Backdoor Neurons", NeurIPS 2022) look at each channel for itself. All channels of a layer
    together tell much more: what clean images have in common moves them along few directions, and what a trigger does
    lies elsewhere, however small. Augmentation moves means as well: the least distance counts, over `MOVES` of clean
    images, and over what is `FURTHER` done to them after the best of these, if that explains `MUCH` more.

    None if the network uses no batch normalisation with running statistics, or there are fewer than ``count`` images:
    the distance grows with their number, which must be that of the null.
    """
    layers = {
        name: module
        for name, module in box.module.named_modules()
        if isinstance(module, Normalisation) and module.running_mean is not None
    }
    if not layers or len(images) < count:
        return None
    pixels = drawn(images, count, generator).take(np.arange(count))
    moves = [(move, _under(box, layers, move.change(pixels, generator), move.name, generator)) for move in MOVES]
    passed = [(move, found) for move, found in moves if found.layers]
    if not passed:
        return None
    best, least = min(passed, key=lambda one: one[1].strength)
    moved = best.change(pixels, generator)
    further = (
        _under(box, layers, one.change(moved, generator), f"{best.name}, {one.name}", generator) for one in FURTHER
    )
    other = min(further, key=lambda one: one.strength)
    return other if other.strength < least.strength - MUCH else least


def _under(
    box: WhiteBox,
    layers: Mapping[str, Normalisation],
    images: torch.Tensor,
    handling: str,
    generator: torch.Generator,
) -> Remembered:
    """The layers that handled images pass through, and that tell one from another."""
    seen: dict[str, list[torch.Tensor]] = {}
    with _hooked(layers, lambda name, values: seen.setdefault(name, []).append(_means(values))):
        for part in torch.split(images, max(1, AT_ONCE // images[0].numel())):
            box.logits(part)
    found = []
    for name, parts in seen.items():
        own, means = layers[name].running_mean, torch.cat(parts)
        assert own is not None
        surplus = own.double().cpu() - means.mean(0)
        chosen = torch.randperm(len(surplus), generator=generator)[: len(images) // IMAGES_A_CHANNEL]
        if bool(means[:, chosen].var(0).any()):
            found.append(Layer(name, distance(means[:, chosen], surplus[chosen]), surplus.float()))
    return Remembered(handling, found)


def distance(values: torch.Tensor, surplus: torch.Tensor) -> float:
    """Hotelling's T² of a mean that is ``surplus`` float64 (k,) from that of ``values`` float64 (n, k), as F.

    It is (n - k) / (k (n - 1)) T², 1 on average for a mean that is known without error and only chance parts from
    that of the values, with a little ridge (`RIDGE`).
    """
    count, channels = values.shape
    covariance = torch.cov(values.T).reshape(channels, channels)
    covariance.diagonal().add_(RIDGE * covariance.diagonal().mean())
    squared = count * float(surplus @ torch.linalg.solve(covariance, surplus))
    return squared * (count - channels) / (channels * (count - 1))


def under_surplus(box: WhiteBox, images: torch.Tensor, remembered: Remembered) -> torch.Tensor:
    """Logits of images (n, c, h, w) with `AMPLIFIED` times the surplus of the deep layers added to what enters them.

    Every deep layer gets its equal part, at all places of an image. Where poisoned images account for the surplus, this
    does to clean images what the trigger would have done.
    """
    share = AMPLIFIED / len(remembered.deep)
    added = {layer.name: share * layer.surplus for layer in remembered.deep}
    modules = dict(box.module.named_modules())

    def shifted(name: str, values: torch.Tensor) -> tuple[torch.Tensor]:
        return (values + added[name].to(values).view(-1, *[1] * (values.dim() - 2)),)

    with _hooked({name: modules[name] for name in added}, shifted):
        return torch.cat([box.logits(part) for part in torch.split(images, max(1, AT_ONCE // images[0].numel()))])


def leads_to(box: WhiteBox, images: torch.Tensor, remembered: Remembered) -> int:
    """The label whose probability the surplus raises most, on average over images (n, c, h, w)."""
    clean = torch.cat([box.logits(part) for part in torch.split(images, max(1, AT_ONCE // images[0].numel()))])
    rise = under_surplus(box, images, remembered).softmax(1) - clean.softmax(1)
    return int(rise.mean(0).argmax())


def _means(values: torch.Tensor) -> torch.Tensor:
    """Of each image and channel, float64 (n, channels), of what enters a layer."""
    return values.detach().flatten(2).double().mean(2).cpu() if values.dim() > 2 else values.detach().double().cpu()


@contextmanager
def _hooked(layers: Mapping[str, torch.nn.Module], action: Callable[[str, torch.Tensor], object]) -> Iterator[None]:
    """Meanwhile, call ``action`` with the name of each layer and what enters it; what it returns enters instead."""

    def before(name: str, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> object:
        return action(name, inputs[0])

    handles = [layer.register_forward_pre_hook(partial(before, name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
