"""Metric-based membership inference: a threshold on one number a sample."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from assay.data.splits import Splits
from assay.methods.finding import Figure, Finding
from assay.methods.membership.attack import MembershipMethod, is_recorded
from assay.methods.membership.results import (
    auc_metric,
    gap_metrics,
    histogram,
    low_rate_metrics,
    most_exposed,
    roc_figure,
    verdict,
)
from assay.methods.membership.signals import SIGNALS
from assay.methods.method import Context, Need, Preset, method, require_oracle
from assay.targets.target import Modality


@method
class MetricAttacks(MembershipMethod):
    """Correctness, confidence, loss, entropy and modified entropy, each as a score.

    The verdict rests on modified entropy, chosen beforehand (Song and Mittal found it the strongest of the five), so
    that no choice is made on the data that are judged.
    """

    name: ClassVar[str] = "membership.metrics"
    needs: ClassVar[Need] = "posteriors"
    title: ClassVar[str] = "Metric-based membership inference"
    summary: ClassVar[str] = (
        "Scores each sample by correctness, confidence, loss, entropy and modified entropy of the target's answer."
    )
    threat_model: ClassVar[str] = (
        "Black box. The attacker has a sample with its true label and gets the posteriors for it, once. It trains "
        "nothing and knows no other member."
    )
    paper: ClassVar[str] = "Song and Mittal, Systematic Evaluation of Privacy Risks of Machine Learning Models, 2021"
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {"quick": {}, "standard": {}, "full": {"max_members": None}}

    modalities: ClassVar[tuple[Modality, ...]] = ("image", "text")

    used: ClassVar[tuple[str, ...]] = ("correctness", "confidence", "loss", "entropy", "modified_entropy")
    deciding: ClassVar[str] = "modified_entropy"

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`."""
        people = self.ask(access, data, context)
        parts = (people.members, people.non_members)
        scores = {}
        for name in self.used:
            members, non_members = (SIGNALS[name](p.answers.require_posteriors(), p.labels) for p in parts)
            scores[name] = (members, non_members)
        judged = scores[self.deciding]
        aucs = [auc_metric(name, scores[name], people.note) for name in self.used if name != "correctness"]
        right = [part.answers.labels == part.labels for part in parts]
        deciding = next(metric for metric in aucs if metric.name == f"auc_{self.deciding}")
        figures: list[Figure] = [
            roc_figure(scores),
            histogram(
                scores["confidence"],
                np.linspace(0, 1, 41),
                "Confidence in the true label",
                "Where the two distributions differ, answers tell members from non-members.",
                "Posterior of the true label",
            ),
        ]
        if data.members is not None and not is_recorded(data.members, require_oracle(access)):
            figures.append(most_exposed(data.members, people.members.rows, judged[0], context))
        return Finding(
            metrics=[*aucs, *gap_metrics(right[0], right[1], people.note), *low_rate_metrics(judged, context.seed)],
            verdict=verdict(deciding, judged),
            figures=figures,
            samples={**people.columns(), **{name: np.concatenate(pair) for name, pair in scores.items()}},
        )
