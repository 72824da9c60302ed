"""What a prior saves an attacker: ratios of questions, success and questions by attack. Pure functions over arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import Floats
from assay.methods.finding import Metric
from assay.methods.measures import proportion, resampled
from assay.methods.siblings.campaigns import Campaign, charge
from assay.methods.siblings.scales import GAIN, SAVING

Counts = NDArray[np.int64]


def costs(campaigns: Sequence[Campaign], cap: int) -> Counts:
    """Questions (n, a) that each of several attacks took; a failure has taken the cap."""
    return np.stack([charge(each.result, cap) for each in campaigns], axis=1)


def fallen(campaigns: Sequence[Campaign]) -> Floats:
    """Success 0 or 1 (n, a) of each of several attacks."""
    return np.stack([each.result.success for each in campaigns], axis=1).astype(np.float64)


def using(campaigns: Sequence[Campaign], priors: Sequence[str]) -> list[Campaign]:
    """The attacks with one of these priors."""
    return [each for each in campaigns if each.prior in priors]


def least_median(counts: Counts) -> float:
    """The median questions of the attack, of those in the columns of (n, a), whose median is the lowest."""
    return float(np.median(counts, axis=0).min())


def cheapest(campaigns: Sequence[Campaign], cap: int) -> Campaign:
    """The attack of the lowest median; of equal ones that with the most success, then with the lowest mean."""

    def key(each: Campaign) -> tuple[float, float, float]:
        spent = charge(each.result, cap)
        return float(np.median(spent)), -float(each.result.success.mean()), float(spent.mean())

    return min(campaigns, key=key)


def times(costly: Counts, cheap: Counts, seed: int, name: str, label: str, cap: int) -> Metric:
    """How many times cheaper one set of attacks is than another, on the same images.

    ``costly`` (n, a) and ``cheap`` (n, b) are `costs`. Of each set the attack with the lower median counts. Images are
    resampled in pairs.
    """
    # Medians, not means: a mean depends on the cap as soon as one image withstands, the median does not while more
    # than half fall.
    metric = resampled(name, label, _ratio, costly, cheap, seed=seed, unit="times")
    if least_median(costly) >= cap:
        metric = metric.model_copy(update={"note": "Half of the images withstand without it: this is a lower bound."})
    return metric


def saving(costly: Counts, cheap: Counts, seed: int, name: str, label: str, cap: int) -> Metric:
    """`times` that a sibling's guidance is worth, with the scale that it is judged by."""
    return times(costly, cheap, seed, name, label, cap).judged_by(SAVING)


class Gains(NamedTuple):
    """What a sibling adds: how many times fewer questions, how many fewer, and what share of images more that fall."""

    saving: Metric
    questions_saved: Metric
    success_gained: Metric


def gains(without: Sequence[Campaign], having: Sequence[Campaign], cap: int, seed: int) -> Gains:
    """What one set of attacks has over another, as metrics of the names of the fields.

    Whoever has the sibling has all else too: ``having`` should hold the attacks of ``without``, so that no sibling
    makes an attack dearer. Of each set counts the attack with the lowest median, or with the most success.
    """
    dear, cheap = costs(without, cap), costs(having, cap)
    success = fallen(without), fallen(having)
    return Gains(
        saving(dear, cheap, seed, "saving", "Times cheaper than by the best without the sibling", cap),
        resampled("questions_saved", "Questions saved, median", _difference, dear, cheap, seed=seed, unit="images"),
        resampled("success_gained", f"Further images that fall within {cap:,} questions", _gain, *success, seed=seed)
        .model_copy(update={"note": "The share depends on the cap."})
        .judged_by(GAIN),
    )


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


def _least(rows: Floats) -> Floats:
    """The lowest median (...,) of attacks (..., n, a)."""
    return np.asarray(np.median(rows, axis=-2).min(axis=-1), np.float64)


def _ratio(costly: Floats, cheap: Floats) -> Floats:
    return _least(costly) / _least(cheap)


def _difference(costly: Floats, cheap: Floats) -> Floats:
    return _least(costly) - _least(cheap)


def _gain(without: Floats, having: Floats) -> Floats:
    most = [np.asarray(rows.mean(axis=-2).max(axis=-1), np.float64) for rows in (having, without)]
    return most[0] - most[1]


def _median(rows: Floats) -> Floats:
    return np.asarray(np.median(rows, axis=-1), np.float64)


def _mean(rows: Floats) -> Floats:
    return np.asarray(rows.mean(axis=-1), np.float64)
