"""Membership inference from labels alone: who is classified correctly was probably trained on."""

from __future__ import annotations

import numpy as np

from assay.access import Oracle
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding
from assay.methods.membership.attack import MembershipMethod, Population
from assay.methods.membership.results import accuracies, blind_metrics, gap_metrics, samples_of
from assay.methods.membership.verdict import verdict
from assay.methods.method import Context, method


@method
class LabelOnly(MembershipMethod[Population]):
    """The gap attack: a sample is called a member if the target classifies it correctly."""

    name = "membership.label_only"
    needs = "label"
    about = About(
        title="Label-only membership inference (gap attack)",
        summary="Calls a sample a member if the target's label for it is right.",
        paper="Yeom et al., Privacy Risk in Machine Learning: Analyzing the Connection to Overfitting, 2018",
        threat_model="Black box, labels only. The attacker has a sample with its true label and gets the target's "
        "label for it, once. It trains nothing and knows no other member.",
    )
    presets = {"quick": {}, "standard": {}, "full": {"max_members": None}}
    modalities = ("image", "text", "vector")

    def measure(self, access: Oracle, data: Splits, context: Context) -> Population:
        """Everybody, with the target's labels.

        Raises:
            DataError: as `MembershipMethod.ask`.
            BudgetError: as `MembershipMethod.ask`.
        """
        return self.ask(access, data, context)

    def account(self, result: Population, context: Context) -> Finding:
        metrics = gap_metrics(*result.right, result.note)
        deciding = next(metric for metric in metrics if metric.name == "auc_correctness")
        scores = {"correctness": (result.right[0].astype(np.float64), result.right[1].astype(np.float64))}
        samples = samples_of(result, scores, accuracies(*result.right))
        return Finding(
            metrics=[*metrics, *blind_metrics(result.blind)],
            verdict=verdict(deciding, blind=result.blind),
            samples=samples,
        )
