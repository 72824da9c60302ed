"""Correlations that say how far they can be trusted: intervals, ranks, leverage, and the price of asking often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from assay.base.errors import DataError
from assay.base.intervals import Bounds, Floats, bootstrap

RESAMPLES = 10_000


class Correlation(NamedTuple):
    """Pearson's r of n pairs with its interval, Spearman's rho, and their two-sided p-values."""

    n: int
    r: float
    interval: Bounds
    p: float
    rho: float
    rho_p: float


class Without(NamedTuple):
    """Pearson's r of the n pairs that are left without k of them."""

    k: int
    n: int
    r: float


def correlate(x: ArrayLike, y: ArrayLike, seed: int = 0) -> Correlation:
    """Pearson's and Spearman's correlation of pairs.

    The interval resamples pairs 10,000 times (percentiles). The p-values are those of Student's t.

    Raises:
        DataError: if there are fewer than 4 pairs, or one side does not vary.
    """
    a, b = _pairs(x, y)
    r, rho = stats.pearsonr(a, b), stats.spearmanr(a, b)
    return Correlation(
        n=len(a),
        r=float(r.statistic),
        interval=bootstrap(pearson, a, b, seed=seed, resamples=RESAMPLES),
        p=float(r.pvalue),
        rho=float(rho.statistic),
        rho_p=float(rho.pvalue),
    )


def rank_interval(x: ArrayLike, y: ArrayLike, seed: int = 0) -> Bounds:
    """The interval of Spearman's rho: pairs resampled 10,000 times (percentiles).

    Raises:
        DataError: as `correlate`.
    """
    ranks = [np.asarray(stats.rankdata(side)) for side in _pairs(x, y)]
    return bootstrap(spearman, *ranks, seed=seed, resamples=RESAMPLES)


def pearson(x: Floats, y: Floats) -> Floats:
    """Pearson's r along the last axis: (..., n) and (..., n) to (...). 0 where a side does not vary."""
    a = x - x.mean(-1, keepdims=True)
    b = y - y.mean(-1, keepdims=True)
    scale = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    product: Floats = (a * b).sum(-1)
    return np.where(scale > 0, product / np.where(scale > 0, scale, 1.0), 0.0)


def spearman(x: Floats, y: Floats) -> Floats:
    """Spearman's rho along the last axis: Pearson's r of ranks, ties sharing their mean rank."""
    return pearson(stats.rankdata(x, axis=-1), stats.rankdata(y, axis=-1))


def without_lowest(x: ArrayLike, y: ArrayLike, by: ArrayLike, ks: Sequence[int]) -> list[Without]:
    """Pearson's r without the k pairs whose ``by`` is lowest, for each k.

    Raises:
        DataError: if fewer than 4 pairs would be left.
    """
    a, b = _pairs(x, y)
    order = np.argsort(np.asarray(by, dtype=np.float64), kind="stable")
    return [_without(a, b, order[k:], k) for k in ks]


def without_most_influential(x: ArrayLike, y: ArrayLike, ks: Sequence[int]) -> list[Without]:
    """Pearson's r after taking out, one after the other, the pair that most supports it: the worst case of leverage.

    Raises:
        DataError: if fewer than 4 pairs would be left.
    """
    a, b = _pairs(x, y)
    left = np.arange(len(a))
    sign = np.sign(float(pearson(a, b)))
    found = {0: _without(a, b, left, 0)}
    for k in range(1, max(ks, default=0) + 1):
        candidates = np.array([np.delete(left, i) for i in range(len(left))])
        left = candidates[int(np.argmin(sign * pearson(a[candidates], b[candidates])))]
        found[k] = _without(a, b, left, k)
    return [found[k] for k in ks]


def partial(x: ArrayLike, y: ArrayLike, given: ArrayLike) -> float:
    """Pearson's r of what is left of x and y after a straight line through ``given``."""
    a, b = _pairs(x, y)
    c = np.asarray(given, dtype=np.float64)
    rest = [side - np.polyval(np.polyfit(c, side, 1), c) for side in (a, b)]
    return float(pearson(rest[0], rest[1]))


def holm(p_values: ArrayLike) -> Floats:
    """Holm's adjusted p-values (Scandinavian Journal of Statistics 6, 1979): against any false alarm at all."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return _unsorted(np.minimum(stepped, 1.0), order)


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Benjamini and Hochberg's adjusted p-values (JRSS B 57, 1995): that share of false alarms among the alarms."""
    return np.asarray(stats.false_discovery_control(np.asarray(p_values, dtype=np.float64), method="bh"))


def _unsorted(values: Floats, order: NDArray[np.int64]) -> Floats:
    back = np.empty_like(values)
    back[order] = values
    return back


def _without(a: Floats, b: Floats, rows: NDArray[np.int64], k: int) -> Without:
    if len(rows) < 4:
        raise DataError(f"Without {k} of {len(a)} pairs fewer than 4 are left, too few for a correlation.")
    return Without(k, len(rows), float(pearson(a[rows], b[rows])))


def _pairs(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(a) != len(b):
        raise DataError(f"A correlation needs pairs; these are {len(a)} and {len(b)} numbers.")
    if len(a) < 4:
        raise DataError(f"A correlation needs at least 4 pairs; these are {len(a)}.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise DataError("A correlation needs finite numbers; some of these are not.")
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        raise DataError("A correlation needs both sides to vary; one of these is constant.")
    return a, b
