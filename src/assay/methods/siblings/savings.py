"""What a prior saves an attacker: ratios of questions, success and questions by attack. Pure functions over arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import Floats
from assay.methods.finding import Metric
from assay.methods.measures import proportion, resampled
from assay.methods.siblings.campaigns import Campaign, charge

ALONE = "alone"
"""What the labels of savings by a single attack end in."""

Counts = NDArray[np.int64]


def costs(campaigns: Sequence[Campaign], prior: str, cap: int) -> Counts:
    """Questions (n, a) of all attacks with a prior."""
    return np.stack([charge(each.result, cap) for each in campaigns if each.prior == prior], axis=1)


def least_median(counts: Counts) -> float:
    """The median questions of the attack, of those in the columns of (n, a), whose median is the lowest."""
    return float(np.median(counts, axis=0).min())


def saving(costly: Counts, cheap: Counts, seed: int, name: str, label: str, cap: int) -> Metric:
    """How many times cheaper one set of attacks is than another, on the same images.

    ``costly`` (n, a) and ``cheap`` (n, b) are the questions that each of several attacks took; a failure has taken the
    cap. Of each set the attack with the lower median counts. Images are resampled in pairs.
    """
    # Medians, not means: a mean depends on the cap as soon as one image withstands, the median does not while more
    # than half fall.
    metric = resampled(name, label, _ratio, costly, cheap, seed=seed, unit="times")
    if least_median(costly) >= cap:
        metric = metric.model_copy(update={"note": "Half of the images withstand without it: this is a lower bound."})
    return metric


def attack_metrics(campaign: Campaign, cap: int, seed: int) -> list[Metric]:
    """``success``, ``median_queries`` and ``mean_queries`` (failures at the cap), named by attack and prior."""
    spent = charge(campaign.result, cap)
    end, called = campaign.name, f"{campaign.attack}, {campaign.prior}"
    return [
        proportion(f"success_{end}", f"Success: {called}", campaign.result.success),
        resampled(f"median_queries_{end}", f"Median questions: {called}", _median, spent, seed=seed, unit="images"),
        resampled(f"mean_queries_{end}", f"Mean questions: {called}", _mean, spent, seed=seed, unit="images"),
    ]


def attack_outcomes(campaigns: Sequence[Campaign], cap: int) -> dict[str, Floats]:
    """Columns (n,) whose means are the metrics of their names; see `attack_metrics`."""
    found: dict[str, Floats] = {}
    for each in campaigns:
        found[f"success_{each.name}"] = each.result.success.astype(np.float64)
        found[f"mean_queries_{each.name}"] = charge(each.result, cap).astype(np.float64)
    return found


def _ratio(costly: Floats, cheap: Floats) -> Floats:
    least = [np.median(rows, axis=-2).min(axis=-1) for rows in (costly, cheap)]
    return np.asarray(least[0] / least[1], np.float64)


def _median(rows: Floats) -> Floats:
    return np.asarray(np.median(rows, axis=-1), np.float64)


def _mean(rows: Floats) -> Floats:
    return np.asarray(rows.mean(axis=-1), np.float64)
