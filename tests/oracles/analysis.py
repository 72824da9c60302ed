"""Slow, obviously right references for analyses."""

from __future__ import annotations

from itertools import combinations, product
from math import comb, sqrt


def pearson(x: list[float], y: list[float]) -> float:
    """Pearson's r, from its definition."""
    n = len(x)
    mx, my = sum(x) / n, sum(y) / n
    covariance = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return covariance / sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))


def partial(rxy: float, rxz: float, ryz: float) -> float:
    """The partial correlation from the three correlations."""
    return (rxy - rxz * ryz) / sqrt((1 - rxz**2) * (1 - ryz**2))


def holm_rejects(p: list[float], level: float) -> list[bool]:
    """Which hypotheses Holm's procedure rejects: step down until one is not small enough."""
    rejected = [False] * len(p)
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[i] > level / (len(p) - rank):
            break
        rejected[i] = True
    return rejected


def bh_rejects(p: list[float], level: float) -> list[bool]:
    """Which hypotheses Benjamini and Hochberg's procedure rejects: all up to the largest that is small enough."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    last = max((rank for rank, i in enumerate(order, start=1) if p[i] <= level * rank / len(p)), default=0)
    return [i in order[:last] for i in range(len(p))]


def mcnemar(won: int, lost: int) -> float:
    """Two-sided p of a fair coin: all outcomes no likelier than the one seen, counted one by one."""
    n = won + lost
    chances = [comb(n, k) / 2**n for k in range(n + 1)]
    return sum(chance for chance in chances if chance <= chances[won] * (1 + 1e-9))


def sign_changes(changes: list[float]) -> float:
    """The share of all 2^n choices of signs whose sum lies as far from 0."""
    sums = [
        abs(sum(s * c for s, c in zip(signs, changes, strict=True))) for signs in product((1, -1), repeat=len(changes))
    ]
    return sum(value >= abs(sum(changes)) - 1e-12 for value in sums) / len(sums)


def anova(table: list[list[float]]) -> tuple[float, float, float]:
    """Grand mean, variance between and variance within the rows of a balanced table, from the mean squares."""
    k, m = len(table), len(table[0])
    means = [sum(row) / m for row in table]
    grand = sum(means) / k
    between = m * sum((mean - grand) ** 2 for mean in means) / (k - 1)
    within = sum((value - mean) ** 2 for row, mean in zip(table, means, strict=True) for value in row) / (k * (m - 1))
    return grand, max(0.0, (between - within) / m), within


def ranks(scores: list[float]) -> list[float]:
    """Rank 1 for the highest; ties share the mean of their places."""
    return [sum(other > score for other in scores) + (scores.count(score) + 1) / 2 for score in scores]


def kendall(x: list[float], y: list[float]) -> float:
    """Kendall's tau of orders without ties: pairs in the same order less those in the other, over all."""
    pairs = list(combinations(range(len(x)), 2))
    return sum(1 if (x[i] - x[j]) * (y[i] - y[j]) > 0 else -1 for i, j in pairs) / len(pairs)
