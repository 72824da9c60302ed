"""Two services, or one at two times, on the same examples: pure functions over arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from assay.base.intervals import Bounds, paired_difference


class Paired(NamedTuple):
    """Two proportions of the same ``n`` trials, the second less the first.

    ``p`` is McNemar's exact two-sided p-value that both are equal.
    """

    n: int
    first: float
    second: float
    difference: float
    interval: Bounds
    p: float


def paired(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
    """Compare two columns of successes (n,), n >= 1, row by row."""
    both, lost, won = (int(np.sum(cell)) for cell in (first & second, first & ~second, ~first & second))
    n = len(first)
    bounds = paired_difference(both, won, lost, n - both - lost - won)
    return Paired(n, (both + lost) / n, (both + won) / n, (won - lost) / n, bounds, mcnemar(lost, won))


def mcnemar(first: int, second: int) -> float:
    """The exact two-sided p-value that either of two kinds of discordant pairs is as likely as the other.

    McNemar, Psychometrika 12 (1947); twice the smaller tail of a binomial distribution with one half, at most 1.
    """
    return min(1.0, 2 * float(binom.cdf(min(first, second), first + second, 0.5)))
