"""Metric-based membership inference: a threshold on one number a sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from assay.access import Oracle
from assay.data.images import Images
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Figure, Finding
from assay.methods.membership.attack import MembershipMethod, Population, is_recorded
from assay.methods.membership.results import (
    accuracies,
    auc_metric,
    blind_metrics,
    gap_metrics,
    histogram,
    low_rate_metrics,
    most_exposed,
    roc_figure,
    samples_of,
)
from assay.methods.membership.roc import Scores
from assay.methods.membership.signals import SIGNALS
from assay.methods.membership.verdict import verdict
from assay.methods.method import Context, method

USED = ("correctness", "confidence", "loss", "entropy", "modified_entropy")
"""Signals that are reported."""

DECIDING = "modified_entropy"
"""The signal that the verdict rests on."""

WITHOUT_LABELS = "entropy"
"""The signal that is there, and decides, where true labels are not known."""


class SignalScores(NamedTuple):
    """Scores by signal. ``pictures`` are the members to show pictures of; None for recorded answers."""

    people: Population
    scores: dict[str, Scores]
    pictures: Images | None


@method
class MetricAttacks(MembershipMethod[SignalScores]):
    """Correctness, confidence, loss, entropy and modified entropy, each as a score.

    The verdict rests on modified entropy, chosen beforehand (Song and Mittal found it the strongest of the five), so
    that no choice is made on the data that are judged. Where true labels are not known, entropy alone is scored.
    """

    name = "membership.metrics"
    true_labels = False
    about = About(
        title="Metric-based membership inference",
        summary="Scores each sample by correctness, confidence, loss, entropy and modified entropy of the target's "
        "answer.",
        paper="Song and Mittal, Systematic Evaluation of Privacy Risks of Machine Learning Models, 2021",
        threat_model="Black box. The attacker has a sample with its true label and gets the posteriors for it, once. "
        "It trains nothing and knows no other member.",
    )
    presets = {"quick": {}, "standard": {}, "full": {"max_members": None}}
    modalities = ("image", "text", "vector")

    def measure(self, access: Oracle, data: Splits, context: Context) -> SignalScores:
        """Scores of all signals.

        Raises:
            DataError: as `MembershipMethod.ask`.
            BudgetError: as `MembershipMethod.ask`.
            AccessError: if the target answers with labels only.
        """
        people = self.ask(access, data, context)
        scores = {}
        for name in USED if people.labelled else (WITHOUT_LABELS,):
            members, non_members = (SIGNALS[name](p.answers.require_posteriors(), p.labels) for p in people.parts)
            scores[name] = (members, non_members)
        pictured = data.members is not None and not is_recorded(data.members, access)
        return SignalScores(people, scores, data.members if pictured else None)

    def account(self, result: SignalScores, context: Context) -> Finding:
        people, scores, pictures = result
        chosen = DECIDING if people.labelled else WITHOUT_LABELS
        judged = scores[chosen]
        aucs = [auc_metric(name, pair, people.note) for name, pair in scores.items() if name != "correctness"]
        deciding = next(metric for metric in aucs if metric.name == f"auc_{chosen}")
        figures: list[Figure] = [roc_figure(scores)]
        if people.labelled:
            figures.append(
                histogram(
                    scores["confidence"],
                    np.linspace(0, 1, 41),
                    "Confidence in the true label",
                    "Where the two distributions differ, answers tell members from non-members.",
                    "Posterior of the true label",
                )
            )
        if pictures is not None:
            figures.append(most_exposed(pictures, people.members.rows, judged[0], context))
        return Finding(
            metrics=[
                *aucs,
                *(gap_metrics(*people.right, people.note) if people.labelled else []),
                *low_rate_metrics(judged, context.seed),
                *blind_metrics(people.blind),
            ],
            verdict=verdict(deciding, judged, people.blind),
            figures=figures,
            samples=samples_of(people, scores, accuracies(*people.right) if people.labelled else None),
        )
