"""Whether an order of models or methods would stand with other samples, and with other seeds."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from assay.analysis.page import Cell, Table, View
from assay.analysis.scored import Contest, resampled_means
from assay.base.intervals import Floats

if TYPE_CHECKING:
    from assay.analysis.pictures import Chart

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


def view(contest: Contest, found: Ranked) -> View:
    """The order, its intervals, and how alike the seeds' orders are."""
    rows: list[list[Cell]] = [
        [one.name, round(one.score, 4), one.rank, one.low, one.high, round(one.first, 3)] for one in found.ranks
    ]
    told: list[list[Cell]] = [[f"{one.seeds[0]} and {one.seeds[1]}", round(one.value, 4)] for one in found.taus]
    notes = [
        f"{contest.score}, mean over {contest.n} samples and the seeds; rank 1 is the highest. "
        "95 % intervals resample samples (4,000 times), the same for all."
    ]
    if found.taus:
        values, seeds = [one.value for one in found.taus], {seed for one in found.taus for seed in one.seeds}
        notes.append(
            f"Kendall's tau of two seeds' orders: {np.mean(values):.2f} on average, {min(values):.2f} to "
            f"{max(values):.2f}. It has no interval: {len(seeds)} seeds are few."
        )
    else:
        notes.append("No two seeds are there for all of them: how the order depends on the seed is not known.")
    tables = [Table("Ranks", ("name", "mean", "rank", "low", "high", "share of firsts"), rows)]
    if told:
        tables.append(Table("Kendall's tau", ("seeds", "tau"), told))

    def charts() -> list[Chart]:
        from assay.analysis.pictures import intervals

        drawn = [{"name": one.name, "value": one.rank, "low": one.low, "high": one.high} for one in found.ranks]
        return [intervals(drawn, "rank", "Ranks")]

    return View("Ranks", notes, tables, charts)
