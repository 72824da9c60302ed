"""What a membership score is worth: the exact ROC curve, and numbers read off it with their intervals.

Scores are oriented so that a higher one speaks for a member. Everything here is a pure function of two arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrik

from assay.base.intervals import Bounds, Floats, check_scores, clopper_pearson, difference_of_proportions

Ints = NDArray[np.int64]

Scores = tuple[Floats, Floats]
"""Scores of members (m,) and of non-members (n,), higher for members."""

FALSE_POSITIVE_RATES = (0.05, 0.01, 0.001, 0.0001)
PRIORS = (0.5, 0.1, 0.01)


class Roc(NamedTuple):
    """All operating points "flag scores of at least ``thresholds``", from the strictest (infinity: none) to all.

    ``true_positives`` and ``false_positives`` count flagged members and non-members, int64 (points,). Equal scores
    are flagged together, so that a tie is one point.
    """

    thresholds: Floats
    true_positives: Ints
    false_positives: Ints
    members: int
    non_members: int

    @property
    def tpr(self) -> Floats:
        """Share of members flagged at each point."""
        return np.asarray(self.true_positives / self.members)

    @property
    def fpr(self) -> Floats:
        """Share of non-members flagged at each point."""
        return np.asarray(self.false_positives / self.non_members)


class Rate(NamedTuple):
    """A measured number; ``value`` and ``bounds`` are None where the data cannot support it, and ``note`` says why."""

    value: float | None
    bounds: Bounds | None
    note: str


class Flagged(NamedTuple):
    """How many of the members and of the non-members a threshold flags."""

    true: int
    members: int
    false: int
    non_members: int

    def __str__(self) -> str:
        return (
            f"Flags {self.true:,} of {self.members:,} members and {self.false:,} of {self.non_members:,} non-members."
        )


class Operating(NamedTuple):
    """One threshold and how many members and non-members it flags."""

    threshold: float
    true_positives: int
    false_positives: int


def roc_curve(members: NDArray[Any], non_members: NDArray[Any]) -> Roc:
    """The exact ROC curve of scores of members (m,) and non-members (n,), in O((m + n) log(m + n)).

    Raises:
        DataError: if a group is empty, or a score is NaN or infinite.
    """
    inside, outside = np.sort(check_scores(members, "members")), np.sort(check_scores(non_members, "non-members"))
    thresholds = np.unique(np.concatenate([inside, outside]))[::-1]
    true = len(inside) - np.searchsorted(inside, thresholds, "left")
    false = len(outside) - np.searchsorted(outside, thresholds, "left")
    return Roc(
        np.concatenate([[np.inf], thresholds]),
        np.concatenate([[0], true]).astype(np.int64),
        np.concatenate([[0], false]).astype(np.int64),
        len(inside),
        len(outside),
    )


def best_threshold(roc: Roc) -> tuple[float, float]:
    """The strictest threshold of the best balanced accuracy (tpr + 1 - fpr) / 2, and that accuracy.

    The accuracy is that of the best threshold in hindsight; `held_out_accuracy` is not so optimistic.
    """
    balanced = (roc.tpr + 1 - roc.fpr) / 2
    best = int(balanced.argmax())
    return float(roc.thresholds[best]), float(balanced[best])


def held_out_accuracy(members: NDArray[Any], non_members: NDArray[Any], seed: int) -> Rate:
    """Balanced accuracy of a threshold that is chosen on one random half and judged on the other, both ways.

    0.5 is guessing. The interval is Newcombe's for the difference of the two rates; needs two samples of each kind.
    """
    first, second = check_scores(members, "members"), check_scores(non_members, "non-members")
    if min(len(first), len(second)) < 2:
        return Rate(None, None, "A threshold cannot be chosen and judged on fewer than 2 members and 2 non-members.")
    generator = np.random.default_rng(seed)
    halves = [np.array_split(generator.permutation(scores), 2) for scores in (first, second)]
    true = false = 0
    for chosen, judged in ((0, 1), (1, 0)):
        threshold, _ = best_threshold(roc_curve(halves[0][chosen], halves[1][chosen]))
        true += int((halves[0][judged] >= threshold).sum())
        false += int((halves[1][judged] >= threshold).sum())
    note = "The threshold was chosen on one half of the samples and judged on the other."
    return balanced_accuracy(Flagged(true, len(first), false, len(second)), note)


def balanced_accuracy(flagged: Flagged, note: str) -> Rate:
    """(tpr + 1 - fpr) / 2 of a threshold that does not come from these samples, with Newcombe's interval."""
    bounds = difference_of_proportions(*flagged)
    value = (1 + flagged.true / flagged.members - flagged.false / flagged.non_members) / 2
    return Rate(value, bounds._replace(low=(1 + bounds.low) / 2, high=(1 + bounds.high) / 2), note)


def unsupported(roc: Roc, rate: float) -> str:
    """Why the data cannot support a false-positive rate in (0, 1]; empty if they can.

    They can when at least one of the non-members may be flagged: below ``1 / rate`` of them, the rate cannot be told
    from 0.
    """
    if _allowed(roc, rate) >= 1:
        return ""
    return (
        f"A false-positive rate of {100 * rate:g} % needs at least {int(np.ceil(1 / rate - 1e-9)):,} non-members; "
        f"there are {roc.non_members:,}."
    )


def operate(roc: Roc, rate: float) -> Operating:
    """The most permissive operating point with a false-positive rate of at most ``rate``."""
    return _at_most(roc, _allowed(roc, rate))


def tpr_at(roc: Roc, rate: float) -> Rate:
    """The true-positive rate at a false-positive rate, or the reason why there is none; see `unsupported`.

    What is estimated is the rate at the threshold that flags a share ``rate`` of all non-members there could be, and
    the interval takes in both that members are a sample and that the threshold was found on these non-members; see
    `tpr_bounds`.
    """
    if reason := unsupported(roc, rate):
        return Rate(None, None, reason)
    point = operate(roc, rate)
    return Rate(point.true_positives / roc.members, tpr_bounds(roc, rate), str(_flagged(roc, point)))


def tpr_bounds(roc: Roc, rate: float, level: float = 0.95) -> Bounds:
    """The interval of the true-positive rate at the threshold whose false-positive rate is ``rate`` in truth.

    Of n non-members, a number K that is binomial (n, rate) lies above that threshold: its central quantiles bound the
    threshold between two order statistics, whatever the scores' distribution, and the curve there bounds the rate.
    Clopper and Pearson's interval bounds it for a known threshold. The two distances from the estimate are combined as
    a root of squares (MOVER: Zou and Donner, Statistics in Medicine 27 (2008); Newcombe's method 10 is the same).

    Coverage in simulation: 94 to 98 % where 50 or more false positives are allowed, 95 to 100 % with fewer
    (`benchmarks.membership.coverage`).
    """
    low, high = allowed_between(roc.non_members, rate, level)
    found = [_at_most(roc, allowed).true_positives for allowed in (low - 1, _allowed(roc, rate), high)]
    return combined(found, roc.members, level)


def allowed_between(non_members: int, rate: float, level: float = 0.95) -> tuple[int, int]:
    """The central quantiles of a binomial number of false positives."""
    low, high = (_binomial_quantile(share, non_members, rate) for share in ((1 - level) / 2, (1 + level) / 2))
    return low, high


def _binomial_quantile(share: float, n: int, rate: float) -> int:
    """The least k with Pr[binomial(n, rate) <= k] >= share."""
    if bdtr(0, n, rate) >= share:
        return 0
    k = int(np.ceil(bdtrik(share, n, rate)))
    return k - 1 if bdtr(k - 1, n, rate) >= share else k


def combined(found: Sequence[float], members: int, level: float = 0.95) -> Bounds:
    """The interval of `tpr_bounds`, of true positives at the strictest likely threshold, the estimate, the laxest."""
    strict, middle, lax = (count / members for count in found)
    sampled = clopper_pearson(found[1], members, level)
    below = np.hypot(middle - sampled.low, middle - strict)
    above = np.hypot(sampled.high - middle, lax - middle)
    return Bounds(max(0.0, float(middle - below)), min(1.0, float(middle + above)), level, "threshold included (MOVER)")


def projected(roc: Roc, rate: float, members: int, non_members: int) -> Bounds:
    """`tpr_bounds` from other numbers of samples, if the curve stays as it is."""
    low, high = allowed_between(non_members, rate)
    allowed = int(np.floor(rate * non_members * (1 + 1e-12)))
    there, ratio = np.arange(roc.non_members + 1), (roc.non_members + 1) / (non_members + 1)
    hits = roc.true_positives[np.searchsorted(roc.false_positives, there, "right") - 1]
    found = np.interp([(k + 1) * ratio - 1 for k in (low - 1, allowed, high)], there, hits, left=0.0)
    return combined((found * members / roc.members).tolist(), members)


def placement_variances(members: NDArray[Any], non_members: NDArray[Any]) -> tuple[float, float]:
    """The variances (v, w) of DeLong's placements: the variance of the AUC is v / m + w / n.

    Of each member's share of non-members below it, and of each non-member's share of members above it.
    """
    first, second = np.sort(np.asarray(members, np.float64)), np.sort(np.asarray(non_members, np.float64))

    def spread(scores: Floats, others: Floats) -> float:
        placed = (np.searchsorted(others, scores, "left") + np.searchsorted(others, scores, "right")) / len(others) / 2
        return float(placed.var(ddof=1)) if len(scores) > 1 else 0.0

    return spread(first, second), spread(second, first)


def precision_at(roc: Roc, rate: float, prior: float) -> Rate:
    """The share of flagged samples that are members, where a share ``prior`` of all candidates are members.

    Bayes' rule at the operating point of a false-positive rate ``rate``. The interval takes both rates at the worst
    and at the best ends of Clopper and Pearson's intervals, whose joint level is 95 %.
    """
    if reason := unsupported(roc, rate):
        return Rate(None, None, reason)
    flagged = _flagged(roc, operate(roc, rate))
    if flagged.true == flagged.false == 0:
        return Rate(None, None, f"No sample is flagged at a false-positive rate of {100 * rate:g} %.")
    return precision(flagged, prior)


def precision(flagged: Flagged, prior: float) -> Rate:
    """`precision_at` for one threshold, wherever it comes from."""
    if flagged.true == flagged.false == 0:
        return Rate(None, None, "The threshold flags no sample.")
    level = float(np.sqrt(0.95))
    hits = clopper_pearson(flagged.true, flagged.members, level)
    alarms = clopper_pearson(flagged.false, flagged.non_members, level)
    low, high = _precision(hits.low, alarms.high, prior), _precision(hits.high, alarms.low, prior)
    value = _precision(flagged.true / flagged.members, flagged.false / flagged.non_members, prior)
    return Rate(value, Bounds(low, high, 0.95, "Clopper-Pearson"), str(flagged))


def thinned(roc: Roc, points: int = 400) -> tuple[Floats, Floats]:
    """(fpr, tpr) at no more than ``points`` operating points, spread evenly over a logarithmic false-positive axis.

    For each kept false-positive rate the highest true-positive rate; the least non-zero rate and (1, 1) are always
    kept, and so is each of the lowest rates, where the points of a logarithmic axis lie apart.
    """
    last = np.append(np.flatnonzero(np.diff(roc.false_positives)), len(roc.false_positives) - 1)
    wanted = np.geomspace(1, roc.non_members, points - 2)
    nearest = np.searchsorted(roc.false_positives[last], wanted, "right") - 1
    kept = last[np.unique(np.concatenate([[0, 1], nearest]).clip(max=len(last) - 1))]
    return roc.fpr[kept], roc.tpr[kept]


def _at_most(roc: Roc, allowed: int) -> Operating:
    """The most permissive operating point with at most so many false positives; the strictest one below 0."""
    at = max(int(np.searchsorted(roc.false_positives, allowed, "right")) - 1, 0)
    return Operating(float(roc.thresholds[at]), int(roc.true_positives[at]), int(roc.false_positives[at]))


def _allowed(roc: Roc, rate: float) -> int:
    return int(np.floor(rate * roc.non_members * (1 + 1e-12)))


def _flagged(roc: Roc, point: Operating) -> Flagged:
    return Flagged(point.true_positives, roc.members, point.false_positives, roc.non_members)


def _precision(tpr: float, fpr: float, prior: float) -> float:
    flagged = prior * tpr + (1 - prior) * fpr
    return prior * tpr / flagged if flagged else 0.0
