"""What clean images say about the suspicion of others: thresholds and p-values, as pure functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import Floats


def threshold(calibration: Floats, false_rejections: float) -> float | None:
    """The suspicion above which an input is flagged, from clean inputs (n,) used for nothing else.

    The empirical quantile: at most the share ``false_rejections`` of the calibration inputs lie strictly above it.
    None if that share is less than one input, so that no threshold can be had from so few.
    """
    above = int(np.floor(false_rejections * len(calibration) + 1e-9))
    return float(np.sort(calibration)[-1 - above]) if above >= 1 else None


def flagged(suspicion: Floats, limit: float) -> NDArray[np.bool_]:
    """Which inputs (n,) have a suspicion above the limit."""
    return suspicion > limit


def p_values(suspicion: Floats, calibration: NDArray[Any]) -> Floats:
    """How usual the suspicion (m,) would be for a clean input, given that of clean inputs (n,): (m,) in (0, 1].

    (1 + the number of calibration inputs at least as suspicious) / (n + 1). For an input that is exchangeable with the
    calibration inputs it is at most a with a probability of at most a (Vovk et al., Algorithmic Learning in a Random
    World, 2005).
    """
    ordered = np.sort(calibration)
    at_least = len(ordered) - np.searchsorted(ordered, suspicion, "left")
    return np.asarray((1 + at_least) / (len(ordered) + 1), dtype=np.float64)
