"""Thresholds from shadow models alone: each in turn plays the target, and the others play its shadow models.

What an attacker can really do. A threshold read off the target's own ROC curve needs the answer that it is to give.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from assay.base.intervals import Floats, clopper_pearson
from assay.methods.finding import Metric
from assay.methods.membership.results import precision_metrics, rate_metric
from assay.methods.membership.roc import (
    Flagged,
    Rate,
    Scores,
    balanced_accuracy,
    best_threshold,
    operate,
    precision,
    roc_curve,
)
from assay.methods.membership.shadows import Bools, Values
from assay.methods.membership.verdict import ALARMS

Score = Callable[[Values, Values, Bools], Floats]
"""From values of a target (examples, ...), of shadow models (models, examples, ...) and ``inside`` (models, examples)
to scores (examples,), higher for members."""


class Thresholds(NamedTuple):
    """The threshold of the best balanced accuracy, and that of `results.ALARMS` false positives."""

    balanced: float
    alarms: float


def in_turn(score: Score, shadows: Values, inside: Bools) -> Floats:
    """Scores (models, examples) of each shadow model, as the target, against `balanced` others."""
    models = np.arange(len(shadows))
    return np.stack([score(shadows[one], *balanced(shadows[models != one], inside[models != one])) for one in models])


def balanced(shadows: Values, inside: Bools) -> tuple[Values, Bools]:
    """For each example equally many models that were trained on it and that were not, the first of either kind.

    Every example is in exactly half of all models. Of the others, where one plays the target, fewer were then trained
    on its members than not, and more on its non-members: counts give away what scores should find. Likelihood ratios
    and estimated variances depend on counts, so that with 8 models that know nothing of the target their AUC is 0.42 to
    0.46 instead of 0.5 (the finite-population bias of arXiv 2605.25819, in the form that it has here).
    """
    count = min(inside.sum(axis=0).min(), (~inside).sum(axis=0).min())
    kinds = [np.argsort(order, axis=0, kind="stable")[:count] for order in (~inside, inside)]
    chosen = np.concatenate(kinds)
    wide = chosen.reshape(*chosen.shape, *[1] * (shadows.ndim - 2))
    return np.take_along_axis(shadows, wide, axis=0), np.take_along_axis(inside, chosen, axis=0)


def calibrate(scores: Floats, inside: Bools) -> Thresholds:
    """Thresholds for scores (models, examples) of shadow models whose members are known, all models together.

    Raises:
        DataError: if the models were trained on everything or on nothing, or a score is NaN or infinite.
    """
    roc = roc_curve(scores[inside], scores[~inside])
    return Thresholds(best_threshold(roc)[0], operate(roc, ALARMS).threshold)


def calibrated_metrics(scores: Scores, thresholds: Thresholds, shadow_models: int) -> list[Metric]:
    """What the thresholds are worth on the target.

    Names: ``balanced_accuracy``; ``calibrated_tpr`` and ``calibrated_fpr`` at the threshold of `results.ALARMS` false
    positives; ``precision_at_prior_0.1`` and so on, at that threshold.
    """
    note = f"The threshold was chosen on {shadow_models} shadow models; the target played no part."
    balanced, flagged = (_flagged(scores, threshold) for threshold in thresholds)
    everybody = flagged.members + flagged.non_members
    rates = {
        "calibrated_tpr": ("True-positive", flagged.true, flagged.members),
        "calibrated_fpr": ("False-positive", flagged.false, flagged.non_members),
    }
    return [
        rate_metric("balanced_accuracy", "Balanced accuracy", balanced_accuracy(balanced, note), everybody),
        *(
            rate_metric(
                name,
                f"{kind} rate at a threshold for {100 * ALARMS:g} % FPR on shadow models",
                Rate(count / n, clopper_pearson(count, n), note),
                n,
            )
            for name, (kind, count, n) in rates.items()
        ),
        *precision_metrics(lambda prior: precision(flagged, prior), everybody),
    ]


def _flagged(scores: Scores, threshold: float) -> Flagged:
    members, non_members = scores
    return Flagged(
        int((members >= threshold).sum()), len(members), int((non_members >= threshold).sum()), len(non_members)
    )
