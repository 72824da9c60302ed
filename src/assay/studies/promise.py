"""Whether what a change did with the seeds that it was measured with can be expected of another seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import hypot
from statistics import fmean, stdev
from typing import Literal, NamedTuple

from assay.methods.metric import Scale
from assay.studies.outcome import Outcome

FEWEST = 3
"""Seeds, below which nothing is promised."""

CONFIDENCE = 0.95

Bad = Literal["elevated", "high"]


class _Number(NamedTuple):
    """The number that decided an outcome, and the worse end of its interval, as positions on its scale."""

    scale: Scale
    value: float
    worst: float


def fell(before: Bad, outcomes: Sequence[Outcome]) -> bool:
    """Whether no outcome's verdict on the question is as bad as a level."""
    bad = ("high",) if before == "high" else ("elevated", "high")
    return not any(o.verdict is not None and o.verdict.answers and o.verdict.level in bad for o in outcomes)


def holds(before: Bad, seeds: Sequence[Sequence[Outcome]]) -> bool:
    """Whether a further seed can be expected to find less than a level, by the outcomes of each of k seeds.

    For each method, the upper prediction bound of one more seed's number must end short of where the level begins. On
    the method's scale in the direction of the risk (`Scale.position`) the bound is m + sqrt(t^2 s^2 (1 + 1/k) + h^2):
    mean m and standard deviation s over the seeds, the 95 % quantile t of Student's distribution with k - 1 degrees of
    freedom (Hahn and Meeker, Statistical Intervals, 1991, section 4.3), and h the mean distance of a number from the
    worse end of its interval. With fewer seeds than `FEWEST`, or a number without interval or scale, it is not. Asked
    after each of three to five seeds until it is so, it still promises and errs in fewer than 5 % of runs.
    """
    if len(seeds) < FEWEST or not all(fell(before, outcomes) for outcomes in seeds):
        return False
    by_method: dict[tuple[str, int, str], list[_Number | None]] = defaultdict(list)
    for outcomes in seeds:
        for one in outcomes:
            if one.status == "done" and one.verdict is not None and one.verdict.answers:
                key = one.method.name, one.method.version, repr(sorted(one.method.options.items()))
                by_method[(*key[:2], key[2] + repr(one.serving))].append(_number(one))
    return bool(by_method) and all(_short(before, numbers, len(seeds)) for numbers in by_method.values())


def _number(outcome: Outcome) -> _Number | None:
    name = outcome.verdict.metric if outcome.verdict else ""
    metric = next((each for each in outcome.metrics if each.name == name), None)
    if metric is None or metric.value is None or metric.scale is None or metric.interval is None:
        return None
    worst = metric.interval.high if metric.scale.risk == "up" else metric.interval.low
    return _Number(metric.scale, metric.position, metric.scale.position(worst))


def _short(before: Bad, numbers: Sequence[_Number | None], seeds: int) -> bool:
    """Whether the prediction bound of one method ends short of where a level begins."""
    known = [number for number in numbers if number is not None]
    if len(known) < seeds:
        return False
    begins = [_begins(before, number.scale) for number in known]
    if None in begins:
        return False
    from scipy.special import stdtrit

    mean, apart = fmean(number.value for number in known), stdev(number.value for number in known)
    between = float(stdtrit(seeds - 1, CONFIDENCE)) * apart * (1 + 1 / seeds) ** 0.5
    within = fmean(number.worst - number.value for number in known)
    return mean + hypot(between, within) < min(begin for begin in begins if begin is not None)


def _begins(before: Bad, scale: Scale) -> float | None:
    """The position where a level begins; None where its scale does not say."""
    if before == "high":
        return 1.0
    return None if scale.low is None else scale.position(scale.low)
