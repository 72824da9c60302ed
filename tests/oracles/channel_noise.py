"""Slow references for evidence inside a network: robust scores by loops, and the least noise of a linear network."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq


def robust_scores(values):
    """How far each value lies above the median of the others, in 1.4826 median absolute deviations of these."""
    scores = []
    for place, value in enumerate(values):
        others = sorted(v for i, v in enumerate(values) if i != place)
        middle = median(others)
        deviation = median(sorted(abs(v - middle) for v in others))
        scores.append((value - middle) / (1.4826 * deviation))
    return scores


def median(ordered):
    """The median of sorted numbers."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def least_length(features, weight, deviations, label):
    """The least length of noise on ``features`` (n, d) under which two-class images are led to a label.

    With logits ``features @ weight.T`` and noise ``a * deviations`` the margin of the label grows along
    ``deviations * (weight of it - weight of the other)``; its mean cross-entropy is softplus of minus the margin.
    """
    difference = weight[label] - weight[1 - label]
    steepest = float(np.linalg.norm(deviations * difference))
    margins = features @ difference

    def loss(length):
        return np.mean([math.log1p(math.exp(-(m + length * steepest))) for m in margins]) - 1.0

    return 0.0 if loss(0.0) < 0 else brentq(loss, 0.0, 1e4)
