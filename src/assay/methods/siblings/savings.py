"""What a prior saves: ratios of questions, curves, and the table of a sibling's risk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assay.methods.evasion.results import success_curve
from assay.methods.finding import Level, Lines, Metric, Table, Verdict
from assay.methods.measures import proportion, resampled
from assay.methods.siblings.campaigns import Campaign, charge

HIGH_SAVING = 5.0
"""A sibling that makes an attack more than so many times cheaper (lower bound) gives away much."""

LOW_SAVING = 1.5
"""One that makes it at most so many times cheaper (upper bound) gives away little."""

ALONE = "alone"
"""What the labels of savings by a single attack end in."""

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def saving(costly: Counts, cheap: Counts, seed: int, name: str, label: str, cap: int) -> Metric:
    """How many times cheaper one set of attacks is than another, on the same images.

    ``costly`` (n, a) and ``cheap`` (n, b) are the questions that each of several attacks took; a failure has taken the
    cap. Of each set the attack with the lower median counts. The ratio is one of medians: a mean would depend on the
    cap as soon as one image withstands, the median does not while more than half fall. Images are resampled in pairs.
    """
    metric = resampled(name, label, _ratio, costly, cheap, seed=seed, unit="times")
    if np.median(costly, axis=0).min() >= cap:
        metric = metric.model_copy(update={"note": "Half of the images withstand without it: this is a lower bound."})
    return metric


def _ratio(costly: NDArray[np.float64], cheap: NDArray[np.float64]) -> Floats:
    least = [np.median(rows, axis=-2).min(axis=-1) for rows in (costly, cheap)]
    return np.asarray(least[0] / least[1], np.float64)


def attack_metrics(campaign: Campaign, cap: int, seed: int) -> list[Metric]:
    """``success``, ``median_queries`` and ``mean_queries`` (failures at the cap), named by attack and prior."""
    spent = charge(campaign.result, cap)
    end, called = f"{campaign.attack}_{campaign.prior}".replace(" ", "_"), f"{campaign.attack}, {campaign.prior}"
    return [
        proportion(f"success_{end}", f"Success: {called}", campaign.result.success),
        resampled(f"median_queries_{end}", f"Median questions: {called}", _median, spent, seed=seed, unit="images"),
        resampled(f"mean_queries_{end}", f"Mean questions: {called}", _mean, spent, seed=seed, unit="images"),
    ]


def _median(rows: NDArray[np.float64]) -> Floats:
    return np.asarray(np.median(rows, axis=-1), np.float64)


def _mean(rows: NDArray[np.float64]) -> Floats:
    return np.asarray(rows.mean(axis=-1), np.float64)


def costs(campaigns: Sequence[Campaign], prior: str, cap: int) -> Counts:
    """Questions (n, a) of all attacks with a prior."""
    return np.stack([charge(each.result, cap) for each in campaigns if each.prior == prior], axis=1)


def risk_table(campaigns: Sequence[Campaign], cap: int) -> Table:
    """One row an attack with a prior."""
    rows: list[list[str | float | None]] = []
    for campaign in campaigns:
        spent, fell = charge(campaign.result, cap), campaign.result.success
        over = float(campaign.result.queries[fell].mean()) if fell.any() else None
        rows.append(
            [campaign.attack, campaign.prior, float(fell.mean()), float(np.median(spent)), float(spent.mean()), over]
        )
    return Table(
        title="Questions by prior",
        caption=f"All attacks are on the same images. In the median and the mean a failure counts {cap:,}, the cap.",
        columns=["attack", "prior", "success", "median questions", "mean questions", "mean over successes"],
        rows=rows,
    )


def query_curves(campaigns: Sequence[Campaign], cap: int) -> Lines:
    """Success against questions, one line for an attack with a prior."""
    results = {f"{each.attack}, {each.prior}": (each.result.success, each.result.queries) for each in campaigns}
    return success_curve(results, cap)


def risk_verdict(savings: Sequence[Metric], sibling: str, medians: tuple[float, float], epsilon: str) -> Verdict:
    """The level by `HIGH_SAVING` and `LOW_SAVING`, of the first saving; the sentence adds what single attacks save.

    ``medians`` are those without and with the sibling.
    """
    metric, *others = savings
    if metric.value is None or metric.interval is None:
        raise ValueError("a saving has a value and an interval")
    low, high = metric.interval.low, metric.interval.high
    level: Level = "undecided"
    if low > HIGH_SAVING:
        level = "high"
    elif low > LOW_SAVING:
        level = "elevated"
    elif high <= LOW_SAVING:
        level = "low"
    single = [f"{other.value:.1f} times by {other.name.partition('_')[2]}" for other in others if ALONE in other.label]
    sentence = (
        f"Publishing {sibling} makes an attack that {epsilon} {metric.value:.1f} times cheaper (95 % interval "
        f"{low:.1f} to {high:.1f}): a median of {medians[1]:g} questions about an image instead of {medians[0]:g}, "
        f"each by the cheapest attack; attack by attack {' and '.join(single)}."
    )
    if level == "undecided":
        sentence += f" The interval holds {LOW_SAVING:g}, where low ends: more images would decide."
    return Verdict(level=level, metric=metric.name, sentence=f"{sentence} {metric.note}".rstrip())
