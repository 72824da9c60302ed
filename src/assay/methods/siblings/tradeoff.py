"""Siblings to choose from: what each costs in accuracy, and what it costs an attacker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from assay.base.intervals import Floats
from assay.methods.finding import Lines, Series
from assay.methods.siblings.campaigns import Campaign
from assay.methods.siblings.comparison import Compared
from assay.methods.siblings.savings import costs, least_median
from assay.methods.siblings.similarity_measures import Flags


class Candidate(NamedTuple):
    """A sibling: which test images it gets right (n,), how it compares with the model, and what attacks with it took.

    ``carried`` float64 (m,) says whether an image that fooled the sibling fools the model, NaN where one of them was
    wrong before.
    """

    name: str
    network: torch.nn.Module
    right: Flags
    compared: Compared
    carried: Floats
    campaigns: list[Campaign]

    @property
    def accuracy(self) -> float:
        """The share of test images that it gets right."""
        return float(self.right.mean())

    def median(self, cap: int) -> float:
        """The median questions of the cheapest attack with it."""
        return least_median(costs(self.campaigns, cap))


def best(paired: Candidate, candidates: Sequence[Candidate], allowed_loss: float, cap: int) -> Candidate:
    """The dearest to an attacker that loses at most so much accuracy; where none does, the one that loses least."""
    bearable = int(allowed_loss * len(paired.right) + 1e-9)
    within = [one for one in candidates if int(paired.right.sum()) - int(one.right.sum()) <= bearable]
    if within:
        return max(within, key=lambda one: one.median(cap))
    return max(candidates, key=lambda one: one.accuracy)


def share_lost(before: Flags, after: Flags) -> Floats:
    """The share of images (..., n) that are right before, less that after."""
    return np.asarray(before.mean(axis=-1) - after.mean(axis=-1), np.float64)


def transfer_cut(before: Floats, after: Floats) -> Floats:
    """1 minus the transfer rate after over that before, of outcomes (..., n) with NaN for images left out.

    0 where nothing was carried over before.
    """
    rates = [np.nanmean(outcomes, axis=-1) for outcomes in (before, after)]
    return np.asarray(1.0 - np.divide(rates[1], rates[0], out=np.ones_like(rates[1]), where=rates[0] > 0), np.float64)


def trade_off(paired: Candidate, candidates: Sequence[Candidate], cap: int) -> Lines:
    """Accuracy against the median questions, from the paired sibling to the heaviest weight."""
    series = [Series(name="paired", x=[paired.accuracy], y=[paired.median(cap)])]
    ordered = sorted(candidates, key=lambda one: one.accuracy)
    series.append(Series(name="unpaired", x=[one.accuracy for one in ordered], y=[one.median(cap) for one in ordered]))
    return Lines(
        title="What unpairing costs, and whom",
        caption="Each point is a sibling: further right it is more accurate, further up an attack with it is dearer.",
        x_label="Accuracy of the sibling",
        y_label="Median questions about an image",
        series=series,
        y_log=True,
    )
