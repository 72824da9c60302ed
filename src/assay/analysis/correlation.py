"""Correlations that say how far they can be trusted: intervals, ranks, leverage, and the price of asking often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from assay.base.errors import DataError
from assay.base.intervals import Bounds, Floats

RESAMPLES = 10_000

NEARLY_ONE = 1 - 1e-12
"""As large as r counts on the scale of z, where 1 is infinite."""


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


def correlate(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Pearson's and Spearman's correlation of pairs, with the interval of `z_interval`.

    The p-values are those of Student's t.

    Raises:
        DataError: if there are fewer than 4 pairs, or one side does not vary.
    """
    a, b = _pairs(x, y)
    r, rho = stats.pearsonr(a, b), stats.spearmanr(a, b)
    return Correlation(
        n=len(a),
        r=float(r.statistic),
        interval=z_interval(a, b),
        p=float(r.pvalue),
        rho=float(rho.statistic),
        rho_p=float(rho.pvalue),
    )


def rank_interval(x: ArrayLike, y: ArrayLike) -> Bounds:
    """The interval of Spearman's rho: `z_interval` of the ranks, with the standard error for ranks.

    Raises:
        DataError: as `correlate`.
    """
    a, b = (np.asarray(stats.rankdata(side), dtype=np.float64) for side in _pairs(x, y))
    return z_interval(a, b, ranks=True)


def z_interval(x: Floats, y: Floats, ranks: bool = False) -> Bounds:
    """The 95 % interval of r of n >= 4 pairs on Fisher's scale z = artanh(r).

    The standard error of z is the larger of two: the one for normal pairs, 1 / sqrt(n - 3) (Fisher, Metron 1, 1921; for
    ranks sqrt((1 + r^2 / 2) / (n - 3)), Bonett and Wright, Psychometrika 65, 2000), and the jackknife's, which also
    holds for heavy tails. In simulations with normal, skewed and heavy-tailed pairs, n = 8 to 300, it covers 93 to 98 %
    where the bootstrap's percentiles cover as little as 40 % and the first error alone 74 %.
    """
    n, r = len(x), float(pearson(x, y))
    usual = np.sqrt((1 + r**2 / 2 if ranks else 1.0) / (n - 3))
    half = float(stats.norm.ppf(0.975)) * max(usual, _jackknife_error(x, y))
    z = np.arctanh(np.clip(r, -NEARLY_ONE, NEARLY_ONE))
    return Bounds(min(float(np.tanh(z - half)), r), max(float(np.tanh(z + half)), r), 0.95, "Fisher's z")


def _jackknife_error(x: Floats, y: Floats) -> float:
    """The jackknife's standard error of artanh(r): r without each pair in turn, from sums (no loop)."""
    n = len(x)
    a, b = x - x.mean(), y - y.mean()
    means = [(values.sum() - values) / (n - 1) for values in (a, b, a * a, b * b, a * b)]
    spread = (means[2] - means[0] ** 2) * (means[3] - means[1] ** 2)
    covariance = means[4] - means[0] * means[1]
    # Without a pair that holds all of the variation, r is undefined: as far from the rest as can be.
    without = np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)
    z = np.arctanh(without.clip(-NEARLY_ONE, NEARLY_ONE))
    return float(np.sqrt((n - 1) / n * ((z - z.mean()) ** 2).sum()))


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
