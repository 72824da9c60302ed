"""Slow, obviously right references for recorded services."""

from __future__ import annotations

from math import comb


def soft_label(label: int, confidence: float, classes: int) -> list[float]:
    """Confidence c on the label, (1 - c) / (K - 1) on every other class; -1 is no answer."""
    if label == -1:
        return [1 / classes] * classes
    return [confidence if k == label else (1 - confidence) / (classes - 1) for k in range(classes)]


def expected_calibration_error(confidence: list[float], right: list[bool], bins: int) -> float:
    """Bin by bin: its share of all answers times the distance of its mean confidence from its share of right ones."""
    total = 0.0
    for b in range(bins):
        inside = [i for i, c in enumerate(confidence) if b / bins <= c < (b + 1) / bins or (b == bins - 1 and c == 1)]
        if inside:
            sure = sum(confidence[i] for i in inside) / len(inside)
            hits = sum(right[i] for i in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(sure - hits)
    return total


def mcnemar(first: int, second: int) -> float:
    """The chance of discordant pairs at least as unequal as these, if either kind is as likely."""
    n = first + second
    weights = [comb(n, k) for k in range(n + 1)]
    return sum(w for k, w in enumerate(weights) if abs(2 * k - n) >= abs(first - second)) / 2**n
