"""Whether an order of models or methods would stand with other samples, and with other seeds."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import ndtri

from assay.analysis.scored import Contest, Scored, resampled_means
from assay.base.intervals import Floats

RESAMPLES = 4000


class Rank(NamedTuple):
    """A contestant's rank (1 is the riskiest, ties share their mean), its 95 % interval and share of firsts.

    Interval and share are None where a published number has no interval that they could come from.
    """

    name: str
    score: float
    rank: float
    low: float | None
    high: float | None
    first: float | None


class Tau(NamedTuple):
    """Kendall's tau-b of the orders that two seeds give."""

    seeds: tuple[int, int]
    value: float


class Ranked(NamedTuple):
    """Contestants from the first rank on, and how alike the orders of seeds are (none with fewer than two seeds)."""

    ranks: list[Rank]
    taus: list[Tau]


def rank(contest: Contest, seed: int = 0) -> Ranked:
    """Ranks of the contestants by their mean over seeds: the riskiest first, or the highest where nothing is judged.

    The interval resamples samples, the same for all contestants, 4,000 times (percentiles); published numbers are
    drawn as if normal within their intervals. ``first`` is the share of draws in which the contestant alone, or with
    others, is first. Kendall's tau compares every two of the seeds that all contestants have (Biometrika 30, 1938;
    tau-b, with ties).
    """
    contestants, sign = contest.contestants, 1.0 if contest.risk == "down" else -1.0
    scores = np.array([contest.by_seed(one).mean() for one in contestants])
    placed, draws = _ranks(sign * scores), _draws(contest, seed)
    found = [Rank(one.name, float(scores[i]), float(placed[i]), None, None, None) for i, one in enumerate(contestants)]
    if draws is not None:
        drawn = _ranks(sign * draws)
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        best = (drawn == drawn.min(axis=1, keepdims=True)).mean(axis=0)
        found = [
            one._replace(low=float(low[i]), high=float(high[i]), first=float(best[i])) for i, one in enumerate(found)
        ]
    return Ranked(sorted(found, key=lambda one: one.rank), _taus(contest))


def _draws(contest: Contest, seed: int) -> Floats | None:
    """What the contestants' numbers might have been (draws, contestants); None where an interval is missing."""
    if contest.kind == "published":
        return _published(contest, seed)
    rows = np.concatenate([contest.placed(one) for one in contest.contestants])
    if contest.positive is None:
        drawn = contest.scale * resampled_means(rows, seed, RESAMPLES)
    else:
        # Either kind is drawn by itself. Both means are the area, so their errors around it add up.
        kinds = [resampled_means(rows[:, kind], seed, RESAMPLES) for kind in (contest.positive, ~contest.positive)]
        drawn = kinds[0] + kinds[1] - np.nanmean(rows, axis=1)
    ends = np.cumsum([len(one.seeds) for one in contest.contestants])[:-1]
    return np.stack([seeds.mean(axis=1) for seeds in np.split(drawn, ends, axis=1)], axis=1)


def _published(contest: Contest, seed: int) -> Floats | None:
    """Draws from two halves of normal distributions that end where the intervals do, at their levels."""
    generator = np.random.default_rng(seed)
    columns = []
    for one in contest.contestants:
        wide = _width(one)
        if wide is None:
            return None
        z = generator.standard_normal(RESAMPLES)
        columns.append(contest.by_seed(one).mean() + z * np.where(z < 0, *wide))
    return np.stack(columns, axis=1)


def _width(one: Scored) -> tuple[float, float] | None:
    """Standard errors below and above a contestant's number, mean over seeds; None without an interval."""
    errors = []
    for metric in one.metrics:
        if metric.interval is None or metric.value is None:
            return None
        z = float(ndtri((1 + metric.interval.level) / 2))
        errors.append(((metric.value - metric.interval.low) / z, (metric.interval.high - metric.value) / z))
    below, above = np.mean(errors, axis=0)
    return float(below), float(above)


def _ranks(scores: Floats) -> Floats:
    # Rounded, so that equal sums added up in another order stay ties.
    return np.asarray(stats.rankdata(np.round(scores, 9), axis=-1))


def _taus(contest: Contest) -> list[Tau]:
    common = sorted(set.intersection(*(set(one.seeds) for one in contest.contestants)))
    by_seed = [dict(zip(one.seeds, contest.by_seed(one), strict=True)) for one in contest.contestants]
    orders = {seed: [found[seed] for found in by_seed] for seed in common}
    found = [Tau((a, b), float(stats.kendalltau(orders[a], orders[b]).statistic)) for a, b in combinations(common, 2)]
    return [tau for tau in found if np.isfinite(tau.value)]
