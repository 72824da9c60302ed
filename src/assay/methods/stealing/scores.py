"""How close a copy is to what it was copied from: pure functions over answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, xlogy

from assay.base.intervals import Floats


def agreement(target: NDArray[np.int64], surrogate: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where the predicted labels (n,) of target and surrogate are the same; their mean is the fidelity."""
    return np.equal(target, surrogate)


def kl_divergence(target: NDArray[Any], surrogate_logits: NDArray[Any]) -> Floats:
    """KL(target || surrogate) in nats (n,): sum over classes of p log(p / q), with 0 log 0 = 0.

    ``target`` are posteriors (n, classes); the surrogate's come as logits, so that its smallest are not lost.
    """
    p = np.asarray(target, dtype=np.float64)
    log_q = log_softmax(np.asarray(surrogate_logits, dtype=np.float64), axis=1)
    nats: Floats = (xlogy(p, p) - p * log_q).sum(axis=1)
    return nats
