"""What a leak is judged by: bounds of the AUC and of the true-positive rate, and how many samples they need."""

from __future__ import annotations

from typing import NamedTuple

from assay.base.intervals import auc_bounds, delong_auc
from assay.methods.finding import Level, Metric, Scale, Verdict
from assay.methods.measures import rounded_up
from assay.methods.membership.blind import Blind
from assay.methods.membership.roc import Rate, Scores, placement_variances, projected, roc_curve, tpr_at

HIGH_AUC = 0.60
"""An AUC above this is a high leak."""

LOW_AUC = 0.55
"""An AUC below this is a low leak, if the true-positive rate is below `LOW_TPR` as well."""

ALARMS = 0.01
"""The false-positive rate at which few but sure accusations are judged."""

HIGH_TPR = 0.05
"""A true-positive rate above this, five times that of guessing at `ALARMS`, is a high leak whatever the AUC."""

LOW_TPR = 0.02
"""A true-positive rate below this, twice that of guessing, is a low leak, if the AUC is below `LOW_AUC` as well."""

AUC_SCALE = Scale(risk="up", chance=0.5, high=HIGH_AUC, low=LOW_AUC)
"""What an AUC is judged by."""

TPR_SCALE = Scale(risk="up", chance=ALARMS, high=HIGH_TPR, low=LOW_TPR)
"""What a true-positive rate at `ALARMS` false positives is judged by."""

DECIDING_TPR = f"tpr_at_fpr_{ALARMS:g}"
"""The name of that true-positive rate."""

MOST = 10_000_000
"""More samples than these are not asked for."""


class Bounded(NamedTuple):
    """One number that a verdict may rest on: its interval, in the direction of its scale."""

    name: str
    value: float
    low: float
    high: float
    scale: Scale

    def widened(self, shift: float) -> Bounded:
        """With a doubt of ``shift`` in either direction."""
        return self._replace(low=self.low - shift, high=self.high + shift)

    def beyond(self, bound: float) -> bool:
        """Whether all of the interval lies above a bound."""
        return self.low > bound


def verdict(auc: Metric, scores: Scores | None = None, blind: Blind | None = None) -> Verdict:
    """The level of the leak, and the metric that decided it.

    ``auc`` is the deciding AUC, with its interval; ``scores``, where there are some, give the true-positive rate at
    `ALARMS` false positives too. ``high``: the lower bound of either is above its ``high`` (`AUC_SCALE`, `TPR_SCALE`).
    ``elevated``: the lower bound of either is above its ``low``. ``low``: the upper bounds of both are below; each is
    a one-sided equivalence test at 2.5 %, and as both must reject, so is the whole. ``undecided``: anything else; the
    sentence says how many samples would decide.

    Where the classifier without the model (``blind``) names a shift, its upper bounds, less those of guessing, are
    taken from the lower bounds, and added to the upper ones: only what goes beyond the shift is a leak, and a leak may
    hide behind a shift of the other direction.
    """
    if auc.value is None or auc.interval is None:
        raise ValueError(f"{auc.name} has no value to judge by")
    judged = [Bounded(auc.name, auc.value, auc.interval.low, auc.interval.high, AUC_SCALE)]
    found = supported = None
    if scores is not None:
        roc = roc_curve(*scores)
        found = tpr_at(roc, ALARMS)
        supported = found.bounds is not None
        if found.value is not None and found.bounds is not None:
            judged.append(Bounded(DECIDING_TPR, found.value, found.bounds.low, found.bounds.high, TPR_SCALE))
    if blind is not None and blind.named:
        shifts = {auc.name: blind.auc.high - AUC_SCALE.chance, DECIDING_TPR: blind.share(ALARMS) - TPR_SCALE.chance}
        judged = [bounded.widened(shifts[bounded.name]) for bounded in judged]
    level, deciding = _level(judged, supported is not False)
    text = (
        f"An attacker tells members from non-members with an AUC of {auc.value:.3f} "
        f"({100 * auc.interval.level:g} % interval {auc.interval.low:.3f} to {auc.interval.high:.3f}; 0.5 is guessing)"
        f"{_found(found)}. {_shift(blind)}{_meaning(level, deciding, scores, found, blind)}"
    )
    return Verdict(level=level, metric=deciding.name, sentence=text)


def _level(judged: list[Bounded], complete: bool) -> tuple[Level, Bounded]:
    """The level, and the number that it rests on; low needs all of them, ``complete``."""
    for bounded in judged:
        if bounded.beyond(bounded.scale.high):
            return "high", bounded
    for bounded in judged:
        if bounded.beyond(_low(bounded.scale)):
            return "elevated", bounded
    nearest = max(judged, key=lambda bounded: bounded.scale.position(bounded.high) / _low_position(bounded.scale))
    if complete and all(bounded.high < _low(bounded.scale) for bounded in judged):
        return "low", nearest
    return "undecided", nearest


def _meaning(level: Level, deciding: Bounded, scores: Scores | None, found: Rate | None, blind: Blind | None) -> str:
    if level == "high":
        return "Whether somebody's data was trained on can be told for a considerable share of the members."
    if level == "elevated":
        return "Training data leaks measurably, though not for most members."
    if level == "low":
        bounds = f"an AUC of {LOW_AUC:g}" + (f" and {100 * LOW_TPR:g} %" if scores is not None else "")
        return f"That is close to guessing, and surely below {bounds}: this attack learns little of who was trained on."
    if blind is not None and blind.named:
        return "With that doubt, neither a leak nor its absence can be told."
    if found is not None and found.bounds is None:
        return f"Low cannot be told: {found.note[0].lower()}{found.note[1:]}"
    held = f"{_low(deciding.scale):g}, where low ends"
    if deciding.name == DECIDING_TPR:
        held = f"{100 * _low(deciding.scale):g} %, where low ends for that share"
    if deciding.value >= _low(deciding.scale):
        return f"The interval holds {held}, and the number itself lies above: more samples may show a leak."
    more = _more(scores) if scores is not None else ""
    return f"The interval holds {held}{more or ': more samples would decide'}."


def _more(scores: Scores) -> str:
    """How many more samples a low needs, if what was measured stays; empty if none would do."""
    members, non_members = (len(part) for part in scores)
    alone = samples_for_low(scores, grow_members=False)
    if alone is not None:
        return f": about {rounded_up(alone[1] - non_members):,} more non-members would decide"
    both = samples_for_low(scores, grow_members=True)
    if both is None:
        return ""
    more = [rounded_up(count - have) for count, have in zip(both, (members, non_members), strict=True)]
    return f": about {more[0]:,} more members and {more[1]:,} more non-members would decide"


def samples_for_low(scores: Scores, grow_members: bool) -> tuple[int, int] | None:
    """The least members and non-members with which these scores would be a low leak, if rates and AUC stay.

    Non-members grow alone, or ``grow_members`` in proportion; None if no more than `MOST` of them suffice.
    """
    members, non_members = (len(part) for part in scores)
    roc, auc, (first, second) = roc_curve(*scores), delong_auc(*scores), placement_variances(*scores)

    def enough(factor: float) -> bool:
        sizes = (round(members * (factor if grow_members else 1)), round(non_members * factor))
        grown = auc._replace(variance=first / sizes[0] + second / sizes[1], pairs=min(sizes))
        return auc_bounds(grown).high < LOW_AUC and projected(roc, ALARMS, *sizes).high < LOW_TPR

    high = 1.0
    while not enough(high):
        high *= 2
        if high * non_members > MOST:
            return None
    low = high / 2
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return round(members * (high if grow_members else 1)), round(non_members * high)


def _low(scale: Scale) -> float:
    assert scale.low is not None
    return scale.low


def _low_position(scale: Scale) -> float:
    return scale.position(_low(scale))


def _shift(blind: Blind | None) -> str:
    if blind is None or not blind.named:
        return ""
    return (
        "Members and non-members differ before the model is asked: from inputs and labels alone they are told apart "
        f"with an AUC of {blind.value:.3f} ({blind.auc.low:.3f} to {blind.auc.high:.3f}). That is a shift between the "
        "two sets of data and no leak; only what goes beyond it is judged, and sets of one source would say more. "
    )


def _found(found: Rate | None) -> str:
    if found is None or found.value is None:
        return ""
    return (
        f", and finds {100 * found.value:.1f} % of the members when {100 * ALARMS:g} % of the non-members are flagged "
        "by mistake"
    )
