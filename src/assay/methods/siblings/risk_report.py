"""Tables, curves and the verdict on what a sibling saves an attacker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.methods.evasion.results import success_curve
from assay.methods.finding import Level, Lines, Metric, Table, Verdict
from assay.methods.siblings.campaigns import Campaign, charge
from assay.methods.siblings.savings import ALONE
from assay.methods.siblings.scales import HIGH_SAVING, LOW_SAVING


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
    each = f"; attack by attack {' and '.join(single)}" if single else ""
    sentence = (
        f"Publishing {sibling} makes an attack that {epsilon} {metric.value:.1f} times cheaper (95 % interval "
        f"{low:.1f} to {high:.1f}): a median of {medians[1]:g} questions about an image instead of {medians[0]:g}, "
        f"each by the cheapest attack{each}."
    )
    if level == "undecided":
        sentence += f" The interval holds {LOW_SAVING:g}, where low ends: more images would decide."
    return Verdict(level=level, metric=metric.name, sentence=f"{sentence} {metric.note}".rstrip())
