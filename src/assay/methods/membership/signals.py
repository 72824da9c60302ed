"""Membership signals: one number a sample, from its posteriors and its true label.

Every signal is oriented so that a higher value speaks for a member. Arguments are posteriors (n, classes), rows
summing to 1, and labels int (n,); results are float64 (n,), finite even where a posterior is exactly 0 or 1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import Floats

Posteriors = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]
Signal = Callable[[Posteriors, Labels], Floats]

FLOOR = 1e-30
"""The least argument of a logarithm; Song and Mittal's code takes the same."""

TINY = 1e-45
"""Added inside the logarithms of `log_odds` and `margin`, as in the code of Carlini et al."""

BLOCK = 1 << 19
"""Posteriors that are turned into float64 at a time. Every sum is over one row, so that no digit depends on it."""


def _by_blocks(signal: Signal) -> Signal:
    """The signal computed for some rows after the others, so that memory does not grow with their number."""

    @functools.wraps(signal)
    def blocked(posteriors: Posteriors, labels: Labels) -> Floats:
        step = max(1, BLOCK // np.shape(posteriors)[1])
        if len(posteriors) <= step:
            return signal(np.asarray(posteriors), labels)
        parts = (slice(start, start + step) for start in range(0, len(posteriors), step))
        return np.concatenate([signal(np.asarray(posteriors[part]), labels[part]) for part in parts])

    return blocked


def correctness(posteriors: Posteriors, labels: Labels) -> Floats:
    """1 where the most probable class (the first of equals) is the label, else 0.

    The gap attack of Yeom et al., CSF 2018: its AUC is 0.5 + (train - test accuracy) / 2.
    """
    return np.asarray(np.asarray(posteriors).argmax(axis=1) == labels, dtype=np.float64)


def confidence(posteriors: Posteriors, labels: Labels) -> Floats:
    """The posterior of the label, p_y, in [0, 1]."""
    return np.asarray(_of_label(np.asarray(posteriors), labels), np.float64)


def loss(posteriors: Posteriors, labels: Labels) -> Floats:
    """Minus the cross-entropy loss: log p_y, from log 1e-30 to 0 (Yeom et al., CSF 2018)."""
    return _log(confidence(posteriors, labels))


@_by_blocks
def entropy(posteriors: Posteriors, labels: Labels) -> Floats:
    """Minus the entropy of the posteriors, sum of p log p over classes; the label plays no part."""
    p = np.asarray(posteriors, np.float64)
    return np.asarray((p * _log(p)).sum(axis=1))


@_by_blocks
def modified_entropy(posteriors: Posteriors, labels: Labels) -> Floats:
    """Minus Song and Mittal's modified entropy (USENIX Security 2021).

    (1 - p_y) log p_y + sum over other classes of p log(1 - p): 0 for a certain right answer, far below 0 for a certain
    wrong one.
    """
    p = np.asarray(posteriors, np.float64)
    with np.errstate(divide="ignore"):
        terms = p * np.maximum(np.log1p(-np.minimum(p, 1)), np.log(FLOOR))
    of_label = _of_label(p, labels)
    terms[np.arange(len(p)), labels] = (1 - of_label) * _log(of_label)
    return np.asarray(terms.sum(axis=1))


@_by_blocks
def log_odds(posteriors: Posteriors, labels: Labels) -> Floats:
    """The log of p_y - the log of the sum of the other posteriors.

    The stable scaled logit of Carlini et al., S&P 2022, section VI-A. The sum is taken over the others, not as 1 - p_y,
    which loses all digits where p_y is near 1.
    """
    p = np.array(posteriors, np.float64)
    of_label = _of_label(p, labels)
    p[np.arange(len(p)), labels] = 0.0
    return np.asarray(np.log(of_label + TINY) - np.log(p.sum(axis=1) + TINY))


@_by_blocks
def margin(posteriors: Posteriors, labels: Labels) -> Floats:
    """The log of p_y - the log of the largest other posterior: the difference of the two logits."""
    p = np.array(posteriors, np.float64)
    of_label = _of_label(p, labels)
    p[np.arange(len(p)), labels] = -np.inf
    return np.asarray(np.log(of_label + TINY) - np.log(p.max(axis=1) + TINY))


SIGNALS: dict[str, Signal] = {
    "correctness": correctness,
    "confidence": confidence,
    "loss": loss,
    "entropy": entropy,
    "modified_entropy": modified_entropy,
    "log_odds": log_odds,
    "margin": margin,
}


def _of_label(values: Posteriors, labels: Labels) -> Posteriors:
    return np.asarray(values[np.arange(len(values)), labels])


def _log(values: Posteriors) -> Floats:
    return np.asarray(np.log(np.maximum(values, FLOOR)), np.float64)
