"""Slow, obviously right references for analyses."""

from __future__ import annotations

from math import sqrt


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
