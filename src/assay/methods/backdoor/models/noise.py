"""Noise on the channels of a network, and the least of it that leads images to a label."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from assay.access import WhiteBox
from assay.base.errors import AccessError
from assay.base.intervals import Floats
from assay.base.progress import Step
from assay.methods.backdoor.inversion.rules import Arms
from assay.methods.backdoor.inversion.search import AT_ONCE
from assay.methods.backdoor.models.layers import WEIGHTED, Call, Watch, watched_logits

MOMENTUM = 0.8

REACHED = 1.0
"""The mean cross-entropy below which images count as led to a label."""


class Channels(NamedTuple):
    """The channels of one layer: its number among the calls of a forward pass, the axis, and deviations (channels,).

    A deviation is that of the channel's values over clean images and places; 0 for one that never varies.
    """

    number: int
    axis: int
    deviation: torch.Tensor

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.deviation)


def channels_of(box: WhiteBox, images: torch.Tensor) -> list[Channels]:
    """The channels of every convolution and dense layer but the last one, measured on images (n, c, h, w)."""
    sums: dict[int, list[torch.Tensor]] = {}
    axes: dict[int, int] = {}

    def see(call: Call) -> None:
        axes[call.number] = 1 if call.given["weight"].dim() > 2 else call.answer.dim() - 1
        values = call.answer.detach().movedim(axes[call.number], 0).flatten(1).double()
        moments = torch.stack([torch.full((len(values),), values.shape[1]), values.sum(1), values.square().sum(1)])
        sums.setdefault(call.number, []).append(moments)

    watched_logits(box, images, WEIGHTED, see)
    found = []
    for number in sorted(sums)[:-1]:
        count, total, squares = torch.stack(sums[number]).sum(0)
        variance = (squares / count - (total / count).square()).clamp_min(0)
        found.append(Channels(number, axes[number], variance.sqrt().float()))
    return found


def least_lengths(
    box: WhiteBox, channels: list[Channels], labels: Arms, images: torch.Tensor, lengths: Floats, bar: Step
) -> Floats:
    """The least length (labels,) of noise under which images (n, c, h, w) are led to each label.

    Noise is a vector over all channels, in their deviations, the same for all images and places. Its length is held at
    one of ``lengths`` (steps,) after the other, each with one step along the gradient of all images, with momentum, as
    long as the length. The least length is where the mean cross-entropy falls below `REACHED`, between two by
    logarithms; the largest if it never does, and the first if it is below without noise. A label whose cross-entropy
    fell so far is not searched on: what comes after does not count.

    Raises:
        AccessError: if a gradient is not finite.
    """
    noise = torch.zeros(len(labels), sum(channel.size for channel in channels))
    velocity = torch.zeros_like(noise)
    losses = np.full((len(lengths) + 1, len(labels)), np.nan)
    for step in range(len(lengths) + 1):
        searched = np.flatnonzero(~(losses < REACHED).any(0))
        rows = torch.from_numpy(searched)
        if len(searched):
            slope, losses[step, searched] = _slopes(box, channels, noise[rows], labels[searched], images)
        if step == len(lengths):
            break
        if len(searched):
            velocity[rows] = MOMENTUM * velocity[rows] + slope / _length(slope)
            longer = noise[rows] - lengths[step] * velocity[rows] / _length(velocity[rows])
            noise[rows] = longer * (lengths[step] / _length(longer)).clamp(max=1)
        bar.advance()
    return np.array([crossing(lengths, row) for row in losses.T])


def crossing(lengths: Floats, losses: Floats) -> float:
    """Where ``losses`` (steps + 1,), the first without noise and the others at ``lengths``, fall below `REACHED`."""
    below = np.flatnonzero(losses < REACHED)
    if not len(below):
        return float(lengths[-1])
    if below[0] < 2:
        return float(lengths[0])
    after = int(below[0])
    (high, low), (short, long) = np.log(losses[after - 1 : after + 1].clip(1e-9)), np.log(lengths[after - 2 : after])
    share = (high - np.log(REACHED)) / (high - low)
    return float(np.exp(short + share * (long - short)))


def _length(rows: torch.Tensor) -> torch.Tensor:
    lengths: torch.Tensor = rows.norm(dim=1, keepdim=True)
    return lengths.clamp_min(1e-12)


def _slopes(
    box: WhiteBox, channels: list[Channels], noise: torch.Tensor, labels: Arms, images: torch.Tensor
) -> tuple[torch.Tensor, Floats]:
    """Each label's mean cross-entropy (labels,) under its own noise, and its gradient in it, (labels, channels)."""
    slopes, losses = torch.zeros_like(noise), np.zeros(len(labels))
    together = max(1, AT_ONCE // images.numel())
    for start in range(0, len(labels), together):
        part = slice(start, start + together)
        own = noise[part].clone().requires_grad_(True)
        for few in torch.split(images, max(1, AT_ONCE // images[0].numel() // len(own))):
            wanted = torch.from_numpy(labels[part]).repeat_interleave(len(few)).to(box.device)
            loss = partial(cross_entropy, target=wanted, reduction="none")
            with Watch(WEIGHTED, _Adding(channels, own, len(few))):
                (slope,), logits = box.slopes(few.repeat(len(own), 1, 1, 1), (own,), loss)
            if not torch.isfinite(slope).all():
                raise AccessError("The network's gradient is not finite, so that no noise can be searched for.")
            slopes[part] += slope.cpu() / len(images)
            losses[part] += loss(logits.to(box.device)).view(len(own), -1).sum(1).double().cpu().numpy() / len(images)
    return slopes, losses


class _Adding:
    """Adds to every layer the noise (labels, channels) of the label that an image of the batch stands for."""

    def __init__(self, channels: list[Channels], noise: torch.Tensor, images: int) -> None:
        self.channels = {channel.number: channel for channel in channels}
        self.parts = dict(
            zip(self.channels, torch.split(noise, [channel.size for channel in channels], dim=1), strict=True)
        )
        self.images = images

    def __call__(self, call: Call) -> torch.Tensor | None:
        channel = self.channels.get(call.number)
        if channel is None:
            return None
        added = (self.parts[call.number] * channel.deviation).repeat_interleave(self.images, 0).to(call.answer)
        shape = [1] * call.answer.dim()
        shape[0], shape[channel.axis] = added.shape
        return call.answer + added.view(shape)
