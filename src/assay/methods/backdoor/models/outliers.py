"""How far one label stands out among the labels of a model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma

from assay.base.intervals import Floats
from assay.methods.finding import Scale

CONSISTENT = 1.4826
"""Makes the median absolute deviation of normal data its standard deviation."""

PAPERS_INDEX = 2.0
"""Neural Cleanse flags labels whose anomaly index is above this, and with them a third of clean models."""

ANOMALY_INDEX = Scale(risk="up", chance=0.0, high=PAPERS_INDEX)
"""What an anomaly index is judged by in the paper; it decides no verdict here."""

FEWEST_LABELS = 5
"""Labels below which one cannot be told to be an outlier among them."""

OWN_NULL = 43
"""Labels from which the other labels of a model are a null for the one that stands out."""


def anomaly_indices(sizes: Floats) -> Floats:
    """Neural Cleanse's index of each label (labels,), positive for triggers smaller than the median.

    ``(median - size) / (1.4826 median |size - median|)``; Wang et al., S&P 2019, section IV-C. All 0 if more than half
    of the sizes are equal: then there is no spread to measure by.
    """
    from_median = np.median(sizes) - sizes
    spread = CONSISTENT * np.median(np.abs(from_median))
    return np.zeros_like(sizes) if spread == 0 else from_median / spread


def leads(sizes: Floats) -> Floats:
    """How much smaller each label's trigger is than the others', (labels,): ``log(median of the others / size)``.

    Sizes must be positive. Unlike the index it does not depend on how much clean labels happen to differ in this one
    model, and works from two labels on.
    """
    return above_others(-np.log(sizes))


def above_others(values: Floats) -> Floats:
    """Each label's value less the median of the others', (labels,), from two labels on."""
    return np.array([value - np.median(np.delete(values, label)) for label, value in enumerate(values)])


def robust_scores(values: Floats) -> Floats:
    """How far each of (labels,) values lies above the median of the others, over their median absolute deviation.

    The deviation counts `CONSISTENT` times. 0 where the others do not differ.
    """
    scores = np.zeros(len(values))
    for place, value in enumerate(values):
        others = np.delete(values, place)
        above = value - np.median(others)
        spread = CONSISTENT * np.median(np.abs(others - np.median(others)))
        scores[place] = above / spread if spread > 0 else 0.0
    return scores


def largest_p_value(
    statistics: Floats, drawn: NDArray[np.bool_] | None = None, labels: int | None = None
) -> float | None:
    """The p-value of the largest of (k,) statistics under a gamma distribution fitted to the others.

    ``1 - F(largest) ** labels``; Wang et al., MM-BD, S&P 2024, section 4.2. Where some statistics were chosen because
    they look suspicious, only those ``drawn`` (k,) at random are fitted to, and ``labels`` is how many the model has.
    None if fewer than `FEWEST_LABELS` labels are there, or the others are all equal: nothing can be fitted then.
    """
    largest = int(statistics.argmax())
    kept = np.ones(len(statistics), dtype=bool) if drawn is None else drawn.copy()
    kept[largest] = False
    others = statistics[kept]
    if len(others) < FEWEST_LABELS - 1 or np.ptp(others) == 0:
        return None
    shape, place, scale = gamma.fit(others)
    count = len(statistics) if labels is None else labels
    return float(-np.expm1(count * gamma.logcdf(statistics[largest], shape, place, scale)))
