"""Slow and obviously right: quantisation, similarity, and ratios of queries."""

from __future__ import annotations

import numpy as np


def quantised_slowly(weight: np.ndarray, bits: int, granularity: str) -> np.ndarray:  # type: ignore[type-arg]
    """Every number by the nearest of all points of its grid."""
    most = 2 ** (bits - 1) - 1
    made = np.zeros_like(weight, dtype=np.float64)
    for place, value in np.ndenumerate(weight):
        group = weight if granularity == "tensor" else weight[place[0]]
        scale = np.abs(group).max() / most
        points = [k * scale for k in range(-most, most + 1)]
        made[place] = min(points, key=lambda point: abs(point - value))
    return made


def divergence_slowly(first: np.ndarray, second: np.ndarray) -> list[float]:  # type: ignore[type-arg]
    """The definition of the Kullback-Leibler divergence, class by class."""
    found = []
    for one, other in zip(first.astype(np.float64), second.astype(np.float64), strict=True):
        p, q = (np.exp(row) / np.exp(row).sum() for row in (one, other))
        found.append(sum(p[k] * np.log(p[k] / q[k]) for k in range(len(p))))
    return found


def cosine_slowly(first: np.ndarray, second: np.ndarray) -> list[float]:  # type: ignore[type-arg]
    """The definition of the cosine, number by number."""
    found = []
    for one, other in zip(first, second, strict=True):
        a, b = [float(x) for x in one.ravel()], [float(x) for x in other.ravel()]
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        found.append(dot / (sum(x * x for x in a) ** 0.5 * sum(y * y for y in b) ** 0.5))
    return found


def cka_slowly(first: np.ndarray, second: np.ndarray) -> float:  # type: ignore[type-arg]
    """Norms of covariances of features, as the paper's equation has them."""
    x, y = (features.astype(np.float64) - features.astype(np.float64).mean(axis=0) for features in (first, second))
    return float(np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def ratio_slowly(costly: list[list[int]], cheap: list[list[int]]) -> float:
    """The least median of some attacks over that of others."""

    def median(values: list[int]) -> float:
        ordered, n = sorted(values), len(values)
        return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2

    return min(median(attack) for attack in costly) / min(median(attack) for attack in cheap)


def auc_slowly(scores: np.ndarray, members: np.ndarray) -> float:  # type: ignore[type-arg]
    """The share of pairs in which the member scores higher, ties counting one half."""
    inside, outside = scores[members], scores[~members]
    return float(sum((a > outside).sum() + 0.5 * (a == outside).sum() for a in inside) / (len(inside) * len(outside)))
