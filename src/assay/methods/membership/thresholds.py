"""Thresholds and risk scores learned for each class from a shadow model's members and non-members.

Song and Mittal, Systematic Evaluation of Privacy Risks of Machine Learning Models, USENIX Security 2021. Values are
signals (n,), higher for members (`signals`); labels are whole numbers (n,).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import DataError
from assay.base.intervals import Floats
from assay.methods.membership.signals import Labels

LEAST = 1e-10
"""The least value in a histogram with logarithmic bins, as in the authors' code."""


class Labelled(NamedTuple):
    """Values float (n,) and true labels int (n,) of some samples."""

    values: Floats
    labels: Labels

    def of_class(self, label: int) -> Floats:
        """The values of one class, in order."""
        return np.asarray(self.values[self.labels == label], dtype=np.float64)


def class_thresholds(members: Labelled, non_members: Labelled, classes: int) -> Floats:
    """For each class the value v with the best (share of members >= v + share of non-members < v) / 2.

    Of equally good values the first counts, members before non-members, each in their order. A class without shadow
    members or non-members takes the threshold of all classes together.

    Raises:
        DataError: if there are no members or no non-members at all.
    """
    everybody = _threshold(members.values, non_members.values)
    found = np.full(classes, everybody)
    for label in range(classes):
        inside, outside = members.of_class(label), non_members.of_class(label)
        if len(inside) and len(outside):
            found[label] = _threshold(inside, outside)
    return found


def called_members(samples: Labelled, thresholds: Floats) -> NDArray[np.bool_]:
    """Which samples reach the threshold of their class, bool (n,)."""
    return np.asarray(samples.values >= thresholds[samples.labels])


def risk_scores(members: Labelled, non_members: Labelled, samples: Labelled, classes: int, bins: int = 5) -> Floats:
    """The privacy risk score of samples: the probability of being a member, given the value.

    Values are non-negative here: modified entropy itself, minus the signal. Per class, shadow members and non-members
    are counted in ``bins`` bins of equal width on a logarithmic axis from the least to the largest; the score is
    P_in / (P_in + P_out) of the sample's bin, or of the nearest bin that is not empty (the lower of two). A class
    without shadow members or non-members scores 0.5.
    """
    scores = np.full(len(samples.values), 0.5)
    for label in range(classes):
        inside, outside = (np.maximum(part.of_class(label), LEAST) for part in (members, non_members))
        if not (len(inside) and len(outside)):
            continue
        both = np.concatenate([inside, outside])
        edges = np.logspace(np.log10(both.min()), np.log10(both.max()), bins + 1)
        share_in, share_out = (np.histogram(part, edges)[0] / len(part) for part in (inside, outside))
        total = share_in + share_out
        filled = np.flatnonzero(total)
        if not len(filled):
            continue
        nearest = filled[np.abs(np.arange(bins)[:, None] - filled).argmin(axis=1)]
        at = samples.labels == label
        bin_of = np.clip(np.searchsorted(edges, samples.values[at], "right") - 1, 0, bins - 1)
        scores[at] = (share_in[nearest] / total[nearest])[bin_of]
    return scores


def _threshold(members: Floats, non_members: Floats) -> float:
    if not (len(members) and len(non_members)):
        raise DataError("A threshold needs shadow members and shadow non-members.")
    candidates = np.concatenate([members, non_members]).astype(np.float64)
    above = len(members) - np.searchsorted(np.sort(members), candidates, "left")
    below = np.searchsorted(np.sort(non_members), candidates, "left")
    accuracy = 0.5 * (above / len(members) + below / len(non_members))
    return float(candidates[accuracy.argmax()])
