"""Tables, curves and the verdict on what a sibling saves an attacker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from assay.methods.evasion.results import success_curve
from assay.methods.finding import Level, Lines, Metric, Table, Verdict
from assay.methods.measures import within
from assay.methods.siblings.campaigns import Campaign, charge
from assay.methods.siblings.savings import Gains, cheapest, costs, least_median, using

SEVERITY: tuple[Level, ...] = ("low", "undecided", "elevated", "high")


class Hands(NamedTuple):
    """Who attacks: with ``without`` (priors to words that follow "with"), or with these and the ``sibling``'s uses.

    ``name`` is what the sibling is called. ``independent`` says whether a network that has nothing to do with the model
    is among the alternatives.
    """

    without: Mapping[str, str]
    sibling: Sequence[str]
    name: str
    independent: bool


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


def risk_verdict(gained: Gains, campaigns: Sequence[Campaign], hands: Hands, epsilon: str, cap: int) -> Verdict:
    """The verdict on publishing a sibling, by what it adds to the best that an attacker has otherwise.

    The level is the worse of those by ``saving`` and by ``success_gained``, and the metric that decided is named. Where
    no independent network was tried nothing is high: one may bring an attacker as far as the sibling does.
    """
    levels = {metric: judged(metric) for metric in (gained.saving, gained.success_gained)}
    worst = max(levels.values(), key=SEVERITY.index)
    decided = max((metric for metric, level in levels.items() if level == worst), key=lambda metric: metric.position)
    level: Level = "elevated" if worst == "high" and not hands.independent else worst
    sentence = _sentence(gained, campaigns, hands, epsilon, cap)
    if level == "undecided" and decided.scale is not None:
        sentence += (
            f" The interval of {decided.label[0].lower()}{decided.label[1:]} holds {decided.scale.low:g}, where low "
            "ends: more images would decide."
        )
    if not hands.independent and level != "low":
        sentence += " No independent network of the same task was tried: with one in hand, a sibling may save less."
    return Verdict(level=level, metric=decided.name, sentence=sentence)


def judged(metric: Metric) -> Level:
    """The level of a number that rises with the risk: by its interval's bounds, ``high`` and ``low`` of its scale."""
    if metric.interval is None or metric.scale is None or metric.scale.low is None:
        raise ValueError(f"{metric.name} has no interval, or no scale with a low end")
    if metric.interval.low > metric.scale.high:
        return "high"
    if metric.interval.low > metric.scale.low:
        return "elevated"
    return "low" if metric.interval.high <= metric.scale.low else "undecided"


def _sentence(gained: Gains, campaigns: Sequence[Campaign], hands: Hands, epsilon: str, cap: int) -> str:
    """What an attacker needs without the sibling and with it, in words."""
    others, success = using(campaigns, list(hands.without)), gained.success_gained
    best = cheapest(others, cap)
    having = least_median(costs([*others, *using(campaigns, hands.sibling)], cap))
    text = (
        f"With {hands.without[best.prior]} in hand an attacker who {epsilon} needs a median of "
        f"{np.median(charge(best.result, cap)):g} questions about an image, with {hands.name} {having:g}: it saves "
        f"{_within(gained.questions_saved)} questions and makes the attack {_within(gained.saving, ' times')} cheaper. "
        f"Of the images {within(success)} more fall within {cap:,} questions."
    )
    return f"{text} {gained.saving.note}".rstrip()


def _within(metric: Metric, unit: str = "") -> str:
    if metric.value is None or metric.interval is None:
        raise ValueError(f"{metric.name} has no value")
    return f"{metric.value:.3g}{unit} (95 % interval {metric.interval.low:.3g} to {metric.interval.high:.3g})"
