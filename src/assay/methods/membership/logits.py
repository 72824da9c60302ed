"""Membership signals from logits, for shadow models whose logits are at hand: no digit is lost where a model is sure.

Logits are floats (..., classes) of any leading shape, such as (models, examples, queries, classes). Labels are whole
numbers of a shape that broadcasts to the leading one: (examples, 1) for that example. Results are float64 of the
leading shape, higher for members.
"""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import DataError
from assay.base.intervals import Floats
from assay.methods.membership.signals import Labels

Logits = NDArray[np.floating[Any]]


def scaled_logit(logits: Logits, labels: Labels) -> Floats:
    """z_y - log of the sum of exp z over the other classes: the log-odds of the label.

    Carlini et al., S&P 2022, section VI-A; the same as `signals.log_odds` of the posteriors, without its rounding.

    Raises:
        DataError: if a logit is NaN or infinite.
    """
    z, of_label, at = _split(logits, labels)
    np.put_along_axis(z, at, -np.inf, axis=-1)
    return np.asarray(of_label - _log_sum_exp(z))


def hinge(logits: Logits, labels: Labels) -> Floats:
    """z_y - the largest other logit (Carlini et al., S&P 2022, section VI-A).

    Raises:
        DataError: if a logit is NaN or infinite.
    """
    z, of_label, at = _split(logits, labels)
    np.put_along_axis(z, at, -np.inf, axis=-1)
    return np.asarray(of_label - z.max(axis=-1))


def softmax_confidence(logits: Logits, labels: Labels, temperature: float = 1.0) -> Floats:
    """The posterior of the label, in [0, 1], of logits divided by ``temperature``.

    Raises:
        DataError: if a logit is NaN or infinite.
    """
    z, of_label, _ = _split(logits, labels)
    return np.asarray(np.exp(of_label / temperature - _log_sum_exp(z / temperature)))


def soft_margin_taylor(
    logits: Logits, labels: Labels, order: int = 4, margin: float = 0.6, temperature: float = 1.0
) -> Floats:
    """The confidence that RMIA's authors use: exp replaced by its Taylor polynomial, a margin taken off the label.

    With T(u) = sum of u^i / i! for i up to ``order``: T(z_y - margin) / (T(z_y - margin) + sum of the others' T(z)).
    Zarifzadeh, Liu and Shokri, ICML 2024. T is positive everywhere for even orders only; the authors' code stops one
    term early, so that its "n = 4" is order 3.

    Raises:
        DataError: if a logit is NaN or infinite.
    """
    z, of_label, at = _split(logits, labels)
    others = _taylor(z / temperature, order)
    np.put_along_axis(others, at, 0.0, axis=-1)
    lowered = _taylor(of_label / temperature - margin, order)
    return np.asarray(lowered / (lowered + others.sum(axis=-1)))


def _log_sum_exp(values: Floats) -> Floats:
    """Along the last axis; SciPy's takes twice as long, for it minds complex numbers and signs."""
    largest = values.max(axis=-1)
    powers = values - largest[..., None]
    np.exp(powers, out=powers)
    return np.asarray(largest + np.log(powers.sum(axis=-1)))


def _taylor(values: Floats, order: int) -> Floats:
    return np.asarray(np.polynomial.polynomial.polyval(values, [1 / factorial(i) for i in range(order + 1)]))


def _split(logits: Logits, labels: Labels) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """A float64 copy of the logits, the labels' logits, and the labels' positions along the last axis."""
    z = np.array(logits, dtype=np.float64)
    if not np.isfinite(z).all():
        raise DataError(f"Logits hold NaN or infinity (at {tuple(np.argwhere(~np.isfinite(z))[0].tolist())}).")
    at = np.broadcast_to(np.asarray(labels, np.int64), z.shape[:-1])[..., None]
    return z, np.asarray(np.take_along_axis(z, at, axis=-1)[..., 0]), at
