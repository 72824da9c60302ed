"""Two models or methods on the same samples: by how much they differ, and whether that can be chance."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from assay.analysis.correlation import RESAMPLES, holm
from assay.analysis.paired import mcnemar
from assay.analysis.scored import Contest, resampled_means
from assay.base.intervals import CHUNK, Bounds, Floats

if TYPE_CHECKING:
    pass


class Pair(NamedTuple):
    """One contestant less another: mean difference over samples, its interval, p-value and Holm's p over all pairs.

    ``only_first`` and ``only_second`` count the samples on which one scores more than the other.
    """

    first: str
    second: str
    difference: float
    interval: Bounds
    only_first: int
    only_second: int
    p: float
    test: str
    holm: float


def compare(contest: Contest, seed: int = 0) -> list[Pair]:
    """All pairs of contestants, in their order.

    Differences are of each sample's mean over seeds. The interval resamples samples, pairs together, 10,000 times
    (percentiles): it speaks of other samples, not of other seeds. The p-value is McNemar's exact one where a sample
    can only be won or lost (one seed), and otherwise that of 10,000 random changes of sign.
    """
    contestants = contest.contestants
    means = np.array([one.means for one in contestants])
    places = list(combinations(range(len(contestants)), 2))
    first, second = (np.array([place[i] for place in places]) for i in (0, 1))
    drawn = resampled_means(means, seed, RESAMPLES)
    changes = means[first] - means[second]
    exact = np.array([bool(np.isin(change, (-1.0, 0.0, 1.0)).all()) for change in changes])
    p_values = np.ones(len(places))
    p_values[~exact] = sign_changes(changes[~exact], seed)
    pairs = []
    for i, (a, b) in enumerate(places):
        won, lost = int((changes[i] > 0).sum()), int((changes[i] < 0).sum())
        low, high = np.quantile(drawn[:, a] - drawn[:, b], [0.025, 0.975])
        pairs.append(
            Pair(
                contestants[a].name,
                contestants[b].name,
                float(changes[i].mean()),
                Bounds(float(low), float(high), 0.95, "bootstrap"),
                won,
                lost,
                mcnemar(won, lost) if exact[i] else float(p_values[i]),
                "McNemar, exact" if exact[i] else "changes of sign",
                1.0,
            )
        )
    adjusted = holm([pair.p for pair in pairs])
    return [pair._replace(holm=float(p)) for pair, p in zip(pairs, adjusted, strict=True)]


def sign_changes(changes: Floats, seed: int) -> Floats:
    """Two-sided p-values (k,) of k rows of differences (k, n): how often random signs lead as far from 0.

    Fisher's randomisation test with 10,000 draws, the observed signs counted among them (Phipson and Smyth, SAGMB 9,
    2010).
    """
    if len(changes) == 0:
        return np.zeros(0)
    generator = np.random.default_rng(seed)
    n, observed = changes.shape[1], np.abs(changes.sum(1)) * (1 - 1e-12)
    reached, left = np.ones(len(changes)), RESAMPLES
    while left:
        count = min(left, max(1, CHUNK // n))
        signs = generator.integers(0, 2, (count, n), dtype=np.int8) * 2.0 - 1.0
        reached += (np.abs(signs @ changes.T) >= observed).sum(0)
        left -= count
    return np.asarray(reached / (RESAMPLES + 1))
