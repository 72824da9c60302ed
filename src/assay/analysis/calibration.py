"""What a service's confidence is worth: reliability and expected calibration error, over arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import DataError
from assay.base.intervals import Bounds, bootstrap, wilson

BINS = 15
RESAMPLES = 1_000


class Bin(NamedTuple):
    """Answers whose confidence lies in one of equal intervals: how many, how sure, and how many of them were right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float
    interval: Bounds


class Calibration(NamedTuple):
    """``error`` is the expected calibration error in [0, 1]; ``bins`` are those that hold an answer.

    ``sureness`` is the mean confidence, ``accuracy`` the share of the n answers that were right.
    """

    n: int
    error: float
    interval: Bounds
    sureness: float
    accuracy: float
    bins: list[Bin]


def calibration(confidence: NDArray[Any], right: NDArray[np.bool_], seed: int = 0) -> Calibration:
    """How far confidence (n,), in [0, 1], is from the share of right answers (n,), bin by bin.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3, with 15 equal bins. The interval is
    the percentile bootstrap's over answers. The error is a sum of absolute values, so that of a service without fault
    is above 0, and an interval never reaches it: read it against the number of answers.

    Raises:
        DataError: if there are no answers.
    """
    if not len(confidence):
        raise DataError("There are no answers to calibrate.")
    sure = np.asarray(confidence, np.float64)
    places = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    gaps = right - sure
    interval = bootstrap(expected_error, places, gaps, seed=seed, resamples=RESAMPLES)
    bins = []
    for place in np.unique(places):
        inside = places == place
        n, hits = int(inside.sum()), int(right[inside].sum())
        bins.append(
            Bin(place / BINS, (place + 1) / BINS, n, float(sure[inside].mean()), hits / n, wilson(hits, n))
        )  # fmt: skip
    error = float(expected_error(places[None], gaps[None])[0])
    return Calibration(len(sure), error, interval, float(sure.mean()), float(right.mean()), bins)


def expected_error(places: NDArray[np.int64], gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The calibration error (r,) of r sets of n answers: ``places`` (r, n) are bins, ``gaps`` right less confidence."""
    sets, n = places.shape
    cells = places + BINS * np.arange(sets)[:, None]
    sums = np.bincount(cells.ravel(), gaps.ravel(), minlength=sets * BINS)
    found: NDArray[np.float64] = np.abs(sums.reshape(sets, BINS)).sum(axis=1) / n
    return found
