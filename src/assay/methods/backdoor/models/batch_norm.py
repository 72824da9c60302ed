"""Running means of batch normalisation, compared with the means of clean images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from math import ceil
from typing import NamedTuple

import numpy as np
import torch

from assay.access import WhiteBox
from assay.base.progress import Step
from assay.data.images import Images, drawn
from assay.methods.backdoor.inversion.search import AT_ONCE
from assay.methods.backdoor.models.augmentations import FURTHER, MIRRORED, Augmentation, shifts
from assay.methods.backdoor.models.layers import NORMALISED, Call, name_of, running_means, watched_logits

AMPLIFIED = 20.0
"""How many times a surplus is laid over images: whole, if one in so many training images carried what it comes from."""

PARTS = 3
"""The last of so many parts of the layers counts: what moves the answer shows most where the answer is near."""

IMAGES_A_CHANNEL = 4
"""A layer with more channels than a fourth of the images is judged by that many, drawn at random."""

RIDGE = 1e-3
"""Added to the variance of every channel, as a share of their mean, so that none that stands still divides by 0."""

SHARES = tuple(tenth / 10 for tenth in range(1, 11))
"""Of the images, those that something further is done to."""

SMALLEST = 1e-2
"""A distance that is smaller counts as this."""

MOMENTUM = 0.1
"""PyTorch's default, by which running means are taken where the network does not say: larger ones are noisier."""

LEAST_BATCH = 4
"""Images in a training batch, at least."""

NULL_BATCH = 64
"""Images in a batch of the networks of the null."""

FEWEST_BATCHES = 100
"""Fewer batches than this do not train a network: running means of so few were taken anew afterwards."""

Normalisation = torch.nn.BatchNorm1d | torch.nn.BatchNorm2d | torch.nn.BatchNorm3d


class Layer(NamedTuple):
    """One layer of batch normalisation.

    ``distance`` is how far its running mean lies from that of clean images: Hotelling's T² as an F statistic, about 1
    where only chance parts them. ``surplus`` float32 (channels,) is their difference.
    """

    name: str
    distance: float
    surplus: torch.Tensor


class RunningMeans(NamedTuple):
    """All layers, in the order in which images pass them, under the augmentation that explains them best.

    ``slack`` is by how much the strength may exceed that of the null's networks because the running means average over
    small batches: it is not known how large these were.
    """

    augmentation: str
    layers: list[Layer]
    slack: float = 0.0

    @property
    def deep(self) -> list[Layer]:
        """The last of `PARTS` parts of the layers, at least one layer."""
        return self.layers[-ceil(len(self.layers) / PARTS) :]

    @property
    def strength(self) -> float:
        """The mean logarithm of the deep layers' distances."""
        return float(np.mean(np.log([max(layer.distance, SMALLEST) for layer in self.deep])))

    @property
    def least(self) -> float:
        """The strength less what averaging over the smallest batches would do alone."""
        return self.strength - self.slack


class Moments(NamedTuple):
    """Of a layer's inputs over images: mean float64 (channels,), covariance (k, k) of the channels compared."""

    mean: torch.Tensor
    covariance: torch.Tensor

    def mixed(self, other: Moments, share: float) -> Moments:
        """The moments if a ``share`` of the images were those of ``other``.

        The covariance is that within both parts: their sizes are fixed, not drawn.
        """
        return Moments(*(torch.lerp(own, its, share) for own, its in zip(self, other, strict=True)))


class Probe(NamedTuple):
    """Running means of a network's layers, the channels int64 (k,) of each that are compared, images (n, c, h, w).

    ``seed`` seeds the random augmentations, so that augmented images need not be kept. ``bar`` hears of every pass.
    """

    box: WhiteBox
    layers: Mapping[str, torch.Tensor]
    channels: Mapping[str, torch.Tensor]
    images: torch.Tensor
    seed: int
    bar: Step

    def moments(self, augmentations: tuple[Augmentation, ...]) -> dict[str, Moments]:
        """The moments of what enters every layer, for the images augmented in these ways one after another."""
        images, generator = self.images, torch.Generator().manual_seed(self.seed)
        for augmentation in augmentations:
            images = augmentation.change(images, generator)
        entered: dict[str, list[torch.Tensor]] = {}

        def see(call: Call) -> None:
            if (name := name_of(call)) in self.layers:
                entered.setdefault(name, []).append(_means(call.given["input"]))

        watched_logits(self.box, images, NORMALISED, see)
        self.bar.advance(0)
        seen = {}
        for name, parts in entered.items():
            means = torch.cat(parts)
            compared = means[:, self.channels[name]]
            seen[name] = Moments(means.mean(0), torch.cov(compared.T).reshape(compared.shape[1], -1))
        return seen

    def compared(self, seen: Mapping[str, Moments], augmentations: Iterable[str]) -> RunningMeans:
        """How far every layer's running mean lies from the mean of images augmented so.

        A layer whose inputs do not differ from image to image tells nothing, and is left out.
        """
        found = []
        for name, (mean, covariance) in seen.items():
            surplus = self.layers[name].double().cpu() - mean
            if bool(covariance.any()):
                far = distance(covariance, surplus[self.channels[name]], len(self.images))
                found.append(Layer(name, far, surplus.float()))
        return RunningMeans(", ".join(augmentations), found)


class Candidate(NamedTuple):
    """One way to shift and mirror the images, their moments, and the running means compared with them."""

    probe: Probe
    augmentations: tuple[Augmentation, ...]
    seen: dict[str, Moments]
    found: RunningMeans

    @classmethod
    def of(cls, probe: Probe, *augmentations: Augmentation) -> Candidate:
        """Augment the images, and compare."""
        seen = probe.moments(augmentations)
        return cls(probe, augmentations, seen, probe.compared(seen, (one.name for one in augmentations)))

    def with_some(self, further: Augmentation) -> RunningMeans:
        """The comparison with a further augmentation of that one of `SHARES` of the images that explains most."""
        other = self.probe.moments((*self.augmentations, further))
        found = []
        for share in SHARES:
            seen = {name: own.mixed(other[name], share) for name, own in self.seen.items()}
            found.append(self.probe.compared(seen, (self.found.augmentation, f"{share:.0%} of them {further.name}")))
        return min(found, key=lambda one: one.strength)


def compare(
    box: WhiteBox,
    images: Images,
    count: int,
    generator: torch.Generator,
    bar: Step,
    ordinary: Callable[[RunningMeans], bool] = lambda found: False,
) -> RunningMeans | None:
    """Compare every layer's running mean with the mean of ``count`` clean images.

    A share of poisoned training images leaves its mark in the running means of channels that answer to the trigger,
    whatever the trigger is and wherever it leads; clean images do not account for it. Zheng et al. ("Pre-activation
    Distributions Expose Backdoor Neurons", NeurIPS 2022) look at each channel for itself. All channels of a layer
    together tell much more: what clean images have in common moves them along few directions, and what a trigger does
    lies elsewhere, however small.

    Augmentation moves means as well, so that the least strength counts over what may have been done to the training
    images: shifts and mirroring, and something `FURTHER` on top, to one of `SHARES` of them; with that, all moves once
    more, and so on while it explains more.

    Normalisation is found as the network runs, so that files of other frameworks are read alike. None if there is none
    with running statistics, or there are fewer than ``count`` images: the distance grows with their number, which must
    be that of the null.
    """
    layers = running_means(box)
    if not layers or len(images) < count:
        return None
    most = count // IMAGES_A_CHANNEL
    channels = {name: torch.randperm(len(means), generator=generator)[:most] for name, means in layers.items()}
    pixels = drawn(images, count, generator).take(np.arange(count))
    probe = Probe(box, layers, channels, pixels, seed=int(torch.randint(2**62, (1,), generator=generator)), bar=bar)
    ways = product(shifts(min(pixels.shape[2:])), ((), (MIRRORED,)))
    leeway, moved = slack(box.module, count), list[Candidate]()
    for shift, mirrored in ways:
        moved.append(Candidate.of(probe, shift, *mirrored))
        found = moved[-1].found._replace(slack=leeway)
        if not found.layers:
            return None
        if ordinary(found):
            return found
    return _explained(moved)._replace(slack=leeway)


def _explained(moved: list[Candidate]) -> RunningMeans:
    """The comparison under the augmentation that explains most, found step by step from shifts and mirroring."""
    best = min(moved, key=lambda move: move.found.strength)
    least = best.found
    while True:
        further = min(FURTHER, key=partial(_strength_with, best))
        found, move = min(((move.with_some(further), move) for move in moved), key=lambda one: one[0].strength)
        if not found.strength < least.strength:
            return least
        if move is best:
            return found
        least, best = found, move


def _strength_with(move: Candidate, further: Augmentation) -> float:
    return move.with_some(further).strength


def distance(covariance: torch.Tensor, surplus: torch.Tensor, count: int) -> float:
    """Hotelling's T² of a mean that is ``surplus`` float64 (k,) from that of ``count`` images, as an F statistic.

    With their covariance (k, k), and a little ridge (`RIDGE`), it is (count - k) / (k (count - 1)) T²: 1 on average
    for a mean that is known without error and only chance parts from theirs.
    """
    channels = len(surplus)
    ridge = RIDGE * covariance.diagonal().mean() * torch.eye(channels, dtype=covariance.dtype)
    squared = count * float(surplus @ torch.linalg.solve(covariance + ridge, surplus))
    return squared * (count - channels) / (channels * (count - 1))


def slack(module: torch.nn.Module, count: int) -> float:
    """By how much averaging over batches of `LEAST_BATCH` raises the logarithm of a distance from ``count`` images.

    An exponential average with momentum m over batches of b images has the variance of m / (2 - m) / b images' mean;
    that over `NULL_BATCH` images is in the null.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, Normalisation)]
    momentum = max([MOMENTUM, *(layer.momentum for layer in layers if layer.momentum is not None)])
    own, null = (1 + count * m / (2 - m) / batch for m, batch in ((momentum, LEAST_BATCH), (MOMENTUM, NULL_BATCH)))
    return float(np.log(own / null))


def taken_anew(module: torch.nn.Module) -> int | None:
    """The number of batches that running means are of, where it shows that they are not those of the training."""
    layers = [layer for layer in module.modules() if isinstance(layer, Normalisation)]
    counts = [int(layer.num_batches_tracked) for layer in layers if layer.num_batches_tracked is not None]
    least = min(counts, default=0)
    return least if 0 < least < FEWEST_BATCHES else None


def under_surplus(box: WhiteBox, images: torch.Tensor, means: RunningMeans) -> torch.Tensor:
    """Logits of images (n, c, h, w) with `AMPLIFIED` times the surplus of the deep layers added to what enters them.

    Every deep layer gets its equal part, at all places of an image. Where poisoned images account for the surplus, this
    does to clean images what the trigger would have done.
    """
    share = AMPLIFIED / len(means.deep)
    added = {layer.name: share * layer.surplus for layer in means.deep}

    def shift(call: Call) -> torch.Tensor | None:
        if (name := name_of(call)) not in added:
            return None
        values: torch.Tensor = call.given["input"]
        moved = values + added[name].to(values).view(-1, *[1] * (values.dim() - 2))
        return torch.nn.functional.batch_norm(**{**call.given, "input": moved})

    return watched_logits(box, images, NORMALISED, shift)


def leads_to(box: WhiteBox, images: torch.Tensor, means: RunningMeans) -> int:
    """The label whose probability the surplus raises most, on average over images (n, c, h, w)."""
    rise = under_surplus(box, images, means).softmax(1) - _logits(box, images).softmax(1)
    return int(rise.mean(0).argmax())


def _logits(box: WhiteBox, images: torch.Tensor) -> torch.Tensor:
    """Of images (n, c, h, w), as many at once as memory allows."""
    return torch.cat([box.logits(part) for part in torch.split(images, max(1, AT_ONCE // images[0].numel()))])


def _means(values: torch.Tensor) -> torch.Tensor:
    """Of each image and channel, float64 (n, channels), of what enters a layer."""
    return values.detach().flatten(2).double().mean(2).cpu() if values.dim() > 2 else values.detach().double().cpu()
