"""Membership inference from labels alone: who is classified correctly was probably trained on."""

from __future__ import annotations

from typing import Any, ClassVar

from assay.data.splits import Splits
from assay.methods.finding import Finding
from assay.methods.membership.attack import MembershipMethod
from assay.methods.membership.results import gap_metrics, verdict
from assay.methods.method import Context, Need, Preset, method
from assay.targets.target import Modality


@method
class LabelOnly(MembershipMethod):
    """The gap attack: a sample is called a member if the target classifies it correctly."""

    name: ClassVar[str] = "membership.label_only"
    needs: ClassVar[Need] = "label"
    title: ClassVar[str] = "Label-only membership inference (gap attack)"
    summary: ClassVar[str] = "Calls a sample a member if the target's label for it is right."
    threat_model: ClassVar[str] = (
        "Black box, labels only. The attacker has a sample with its true label and gets the target's label for it, "
        "once. It trains nothing and knows no other member."
    )
    paper: ClassVar[str] = (
        "Yeom et al., Privacy Risk in Machine Learning: Analyzing the Connection to Overfitting, 2018"
    )
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {"quick": {}, "standard": {}, "full": {"max_members": None}}

    modalities: ClassVar[tuple[Modality, ...]] = ("image", "text")

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`."""
        people = self.ask(access, data, context)
        right = [part.answers.labels == part.labels for part in (people.members, people.non_members)]
        metrics = gap_metrics(right[0], right[1], people.note)
        deciding = next(metric for metric in metrics if metric.name == "auc_correctness")
        return Finding(metrics=metrics, verdict=verdict(deciding), samples=people.columns())
