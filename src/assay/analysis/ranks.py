"""Whether an order of models or methods would stand with other samples, and with other seeds."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from assay.analysis.scored import Contest, resampled_means
from assay.base.intervals import Floats

if TYPE_CHECKING:
    pass

RESAMPLES = 4000


class Rank(NamedTuple):
    """A contestant's rank (1 is the highest score, ties share their mean), its 95 % interval and share of firsts."""

    name: str
    score: float
    rank: float
    low: float
    high: float
    first: float


class Tau(NamedTuple):
    """Kendall's tau-b of the orders that two seeds give."""

    seeds: tuple[int, int]
    value: float


class Ranked(NamedTuple):
    """Contestants from the first rank on, and how alike the orders of seeds are (none with fewer than two seeds)."""

    ranks: list[Rank]
    taus: list[Tau]


def rank(contest: Contest, seed: int = 0) -> Ranked:
    """Ranks of the contestants by their mean over samples and seeds.

    The interval resamples samples, the same for all contestants, 4,000 times (percentiles); ``first`` is the share of
    resamples in which the contestant alone, or with others, is first. Kendall's tau compares every two of the seeds
    that all contestants have (Biometrika 30, 1938; tau-b, with ties).
    """
    means = np.array([one.means for one in contest.contestants])
    drawn = _ranks(resampled_means(means, seed, RESAMPLES))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    scores, placed = means.mean(1), _ranks(means.mean(1))
    best = drawn == drawn.min(axis=1, keepdims=True)
    found = [
        Rank(one.name, float(scores[i]), float(placed[i]), float(low[i]), float(high[i]), float(best[:, i].mean()))
        for i, one in enumerate(contest.contestants)
    ]
    return Ranked(sorted(found, key=lambda one: one.rank), _taus(contest))


def _ranks(scores: Floats) -> Floats:
    # Rounded, so that equal sums added up in another order stay ties.
    return np.asarray(stats.rankdata(-np.round(scores, 9), axis=-1))


def _taus(contest: Contest) -> list[Tau]:
    common = sorted(set.intersection(*(set(one.seeds) for one in contest.contestants)))
    scores = {seed: [one.values[one.seeds.index(seed)].mean() for one in contest.contestants] for seed in common}
    found = [Tau((a, b), float(stats.kendalltau(scores[a], scores[b]).statistic)) for a, b in combinations(common, 2)]
    return [tau for tau in found if np.isfinite(tau.value)]
