"""Membership scores from several versions of one network, and the paired comparison of two areas under ROC curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from assay.base.intervals import Bounds, Floats
from assay.methods.membership.signals import Labels, Posteriors, log_odds, modified_entropy
from assay.methods.siblings.similarity_measures import Flags


def features(posteriors: Posteriors, labels: Labels) -> Floats:
    """What one network's posteriors (n, classes) say of samples with labels (n,): (n, 2)."""
    return np.stack([log_odds(posteriors, labels), modified_entropy(posteriors, labels)], axis=1)


def apart(first: Posteriors, second: Posteriors, labels: Labels) -> Floats:
    """How far two networks' log-odds of the label lie apart (n,): compression moves what was fitted most."""
    return np.asarray(np.abs(log_odds(first, labels) - log_odds(second, labels)), np.float64)


def set_features(answers: Sequence[Posteriors], labels: Labels) -> Floats:
    """What all of a release set says: every network's `features`, and how far each lies from the first."""
    first, *others = answers
    columns = [features(posteriors, labels) for posteriors in answers]
    return np.concatenate([*columns, *(apart(first, other, labels)[:, None] for other in others)], axis=1)


def cross_fitted(columns: Floats, members: Flags, folds: int, seed: int) -> Floats:
    """Scores (n,), higher for members: of a logistic regression on columns (n, d), taught on the other folds.

    Each fold has its share of members and of non-members.
    """
    scores = np.empty(len(columns))
    for known, judged in StratifiedKFold(folds, shuffle=True, random_state=seed).split(columns, members):
        scaler = StandardScaler().fit(columns[known])
        model = LogisticRegression(max_iter=1000).fit(scaler.transform(columns[known]), members[known])
        scores[judged] = model.decision_function(scaler.transform(columns[judged]))
    return scores


def auc_difference(first: Floats, second: Floats, members: Flags, level: float = 0.95) -> tuple[float, Bounds]:
    """The AUC of the first scores (n,) less that of the second on the same samples, with its interval.

    DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988): the variance of the differences of placements, so that
    what both scores have in common cancels.
    """
    placed = [_placements(scores, members) for scores in (first, second)]
    above, below = (one - other for one, other in zip(*placed, strict=True))
    value = float(above.mean())
    variance = above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)
    half = float(ndtri((1 + level) / 2) * np.sqrt(variance))
    return value, Bounds(max(-1.0, value - half), min(1.0, value + half), level, "DeLong, paired")


def _placements(scores: Floats, members: Flags) -> tuple[Floats, Floats]:
    """For each member the share of non-members below it, for each non-member the share of members above it."""
    inside, outside = np.sort(scores[members]), np.sort(scores[~members])
    return _below(scores[members], outside), 1.0 - _below(scores[~members], inside)


def _below(scores: Floats, ordered: Floats) -> Floats:
    left, right = np.searchsorted(ordered, scores, "left"), np.searchsorted(ordered, scores, "right")
    return np.asarray((left + right) / (2 * len(ordered)), np.float64)
