"""Means over targets and seeds that count the targets as what varies: a linear model with one random intercept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import minimize_scalar

from assay.base.errors import DataError
from assay.base.intervals import Bounds, Floats

LARGEST = 15.0
"""The logarithm of the largest ratio of variances that is tried, either way."""


class Mixed(NamedTuple):
    """y = X b + u[group] + e, fitted by restricted maximum likelihood.

    ``coefficients`` (p,) with ``covariance`` (p, p); ``between`` and ``within`` are the variances of u and e;
    ``groups`` their number and ``n`` that of observations.
    """

    coefficients: Floats
    covariance: Floats
    between: float
    within: float
    groups: int
    n: int

    @property
    def intraclass(self) -> float:
        """The share of the variance that lies between groups, in [0, 1]."""
        whole = self.between + self.within
        return self.between / whole if whole > 0 else 0.0

    def estimate(self, contrast: ArrayLike, level: float = 0.95) -> tuple[float, Bounds]:
        """The combination c'b of coefficients with its interval, Student's t with one degree less than groups.

        That is exact for a mean over balanced groups, and cautious for differences within them.
        """
        c = np.asarray(contrast, dtype=np.float64)
        value, error = float(c @ self.coefficients), float(np.sqrt(max(0.0, (c @ self.covariance @ c).item())))
        half = float(stats.t.ppf((1 + level) / 2, self.groups - 1)) * error
        return value, Bounds(value - half, value + half, level, "REML, t")


def fit(y: ArrayLike, design: ArrayLike, groups: ArrayLike) -> Mixed:
    """The fit of observations (n,) with a design (n, p) of full rank and the group of each observation (n,).

    The restricted likelihood is profiled over coefficients and the error variance, and maximised over the one ratio
    that is left (Laird and Ware, Biometrics 38, 1982; Patterson and Thompson, Biometrika 58, 1971). A ratio at its
    lower end is taken as no variance between groups.

    Raises:
        DataError: if there are fewer than two groups, the design has not full rank, or no group has two observations.
    """
    values, x = np.asarray(y, dtype=np.float64), np.asarray(design, dtype=np.float64)
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    n, p = x.shape
    if len(names) < 2:
        raise DataError("A summary over targets needs two of them.")
    if n <= p or np.linalg.matrix_rank(x) < p:
        raise DataError("There are too few outcomes to tell the methods apart.")
    if np.bincount(place).max() < 2:
        raise DataError("No target was measured twice: targets and seeds cannot be told apart. Run another seed.")
    sums = _Sums(values, x, place)
    best = minimize_scalar(sums.loss, bounds=(-LARGEST, LARGEST), method="bounded", options={"xatol": 1e-10})
    ratio = float(np.exp(best.x)) if best.fun < sums.loss(-np.inf) - 1e-9 else 0.0
    coefficients, inverse, rest = sums.solve(ratio)
    within = rest / (n - p)
    return Mixed(coefficients, within * inverse, ratio * within, within, len(names), n)


class _Sums:
    """What the likelihood needs of the data: V = I + ratio 11' in each group, whose inverse is known in closed form."""

    def __init__(self, y: Floats, x: Floats, place: NDArray[np.intp]) -> None:
        self.y, self.x = y, x
        self.sizes = np.bincount(place).astype(np.float64)
        self.y_sums = np.bincount(place, y)
        self.x_sums = np.stack([np.bincount(place, column) for column in x.T], axis=1)

    def solve(self, ratio: float) -> tuple[Floats, Floats, float]:
        """Coefficients, (X' V^-1 X)^-1, and the weighted sum of squares that is left."""
        shrink = ratio / (1 + ratio * self.sizes)
        xx = self.x.T @ self.x - (self.x_sums * shrink[:, None]).T @ self.x_sums
        xy = self.x.T @ self.y - self.x_sums.T @ (shrink * self.y_sums)
        inverse = np.asarray(np.linalg.inv(xx), dtype=np.float64)
        coefficients = inverse @ xy
        residual = self.y - self.x @ coefficients
        sums = self.y_sums - self.x_sums @ coefficients
        rest = float(residual @ residual) - float(shrink @ sums**2)
        return coefficients, inverse, max(rest, np.finfo(np.float64).tiny.item())

    def loss(self, log_ratio: float) -> float:
        """Minus twice the profiled restricted log-likelihood, but for a constant."""
        ratio = float(np.exp(log_ratio))
        _, inverse, rest = self.solve(ratio)
        n, p = self.x.shape
        return float((n - p) * np.log(rest) + np.log1p(ratio * self.sizes).sum() - np.linalg.slogdet(inverse)[1])
