"""MM-BD: a label whose margin can be driven far above the others', found without any data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import Field

from assay.access import WhiteBox
from assay.base.errors import AccessError
from assay.base.intervals import Floats
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.backdoor.models.margins import Ascent, Margins, largest_margins
from assay.methods.backdoor.models.null import ALPHA, P_VALUE, Judged, Kind, judge, kind_of, shipped_nulls
from assay.methods.backdoor.models.outliers import OWN_NULL, largest_p_value, leads
from assay.methods.backdoor.models.results import NO_INTERVAL, p_value_metric
from assay.methods.finding import Finding, Gallery, Level, Metric, Samples, Table, Verdict
from assay.methods.measures import class_name
from assay.methods.method import Context, WhiteBoxMethod, method
from assay.methods.pictures import save_png

LEAST = 1e-6
"""As which a margin that is not positive counts."""


class MarginsFound(NamedTuple):
    """The largest margin of every label, whether the network calls the image of the largest so, and what it cost."""

    margins: Margins
    reached: bool
    kind: Kind
    gradients: int


@method
class MmBd(WhiteBoxMethod[MarginsFound]):
    """The largest margin that noise can be driven to for each label; that of a backdoor's target is unusually large.

    All labels climb in one batch. The largest margin is judged by a gamma distribution fitted to the others, which
    takes five labels, and against clean models.
    """

    name = "backdoor.mm_bd"
    about = About(
        title="MM-BD",
        summary="Drives noise to the largest margin for each label; a backdoor's target stands out.",
        paper=(
            "Wang et al., MM-BD: post-training detection of backdoor attacks with arbitrary backdoor pattern types "
            "using a maximum margin statistic, IEEE S&P 2024"
        ),
        threat_model=(
            "Somebody who trained the model, or poisoned its training data, may have planted a backdoor of whatever "
            "kind. The examiner has the network and no data at all."
        ),
    )
    version = 2
    presets = {"full": {"starts": 30, "steps": 300}}

    starts: int = Field(default=10, ge=1, description="Random images for each label; paper: 30.")
    steps: int = Field(default=150, ge=1, description="Steps at most; paper: 300.")
    rate: float = Field(default=1e-2, gt=0, description="Learning rate, for pixels in [0, 1].")
    momentum: float = Field(default=0.2, ge=0, lt=1, description="Momentum from step to step.")

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> MarginsFound:
        """No part of the data is looked at.

        Raises:
            AccessError: if gradients are not finite or vanish, or margins stay infinite.
        """
        labels = np.arange(access.num_classes)
        ascent = Ascent(self.starts, self.steps, self.rate, self.momentum)
        margins = largest_margins(access, labels, ascent, context.generator("mm-bd: start"))
        if not np.isfinite(margins.values).all():
            raise AccessError("The network's margins are not finite, so that they cannot be compared.")
        largest = int(margins.values.argmax())
        reached = bool(access.logits(margins.images[largest : largest + 1])[0].argmax() == largest)
        return MarginsFound(margins, reached, kind_of(access), access.ledger.gradients)

    def account(self, result: MarginsFound, context: Context) -> Finding:
        """The largest margin, by its p-values."""
        labels = np.arange(result.kind.labels)
        positive = result.margins.values.clip(min=LEAST)
        largest = int(positive.argmax())
        lead = float(-leads(positive)[largest])
        judged = judge(self.name, {"lead": lead}, result.kind, shipped_nulls(), context.weights)
        own = _own_p_value(positive)
        metrics = [
            own,
            p_value_metric(judged),
            Metric(name="largest_margin", label="Largest margin", value=float(positive[largest]), note=NO_INTERVAL),
            Metric(name="lead", label="Log of the largest over the median margin", value=lead, note=NO_INTERVAL),
            Metric(name="reached", label="Whether it is classified so", value=float(result.reached), note=NO_INTERVAL),
            Metric(name="gradients", label="Image gradients", value=float(result.gradients), note=NO_INTERVAL),
        ]
        name = class_name(context.class_names, largest)
        return Finding(
            metrics=metrics,
            verdict=_verdict(own.value, judged, name, lead, len(labels)),
            figures=[_table(result.margins, context), _gallery(result.margins, context)],
            samples=Samples(labels, part="labels", columns={"margin": result.margins.values}),
        )


def _own_p_value(positive: Floats) -> Metric:
    """The paper's p-value; it has a scale where so many labels make it a null."""
    value, labels = largest_p_value(positive), len(positive)
    note = "The paper's rule: an alarm below 0.05."
    if value is None:
        note = f"A distribution cannot be fitted to the margins of {labels} labels."
    elif labels < OWN_NULL:
        note += f" With fewer than {OWN_NULL} labels it decides nothing here."
    label = "p-value of the largest margin among the model's own labels"
    metric = Metric(name="gamma_p_value", label=label, value=value, n=labels, note=note)
    return metric.judged_by(P_VALUE)


def _verdict(own: float | None, judged: Judged, name: str, lead: float, labels: int) -> Verdict:
    """``high`` only against clean models; by the model's own labels, `OWN_NULL` or more, ``elevated`` at most."""
    found = f"The largest margin, {np.exp(lead):.1f} times the median of the others, is that of {name}"
    metric, p_value, among = "p_value", judged.p_value, f"among {judged.of}"
    if p_value is None and labels >= OWN_NULL:
        metric, p_value, among = "gamma_p_value", own, "under a distribution fitted to the model's other labels"
    if p_value is None:
        sentence = f"{found}. There is no p-value: {judged.of} are known, and {labels} labels"
        sentence += f" (of {OWN_NULL} needed) are no null for one of them."
        return Verdict(level="undecided", metric="gamma_p_value", sentence=sentence, weak=True)
    sentence = f"{found}; p = {p_value:.3f} {among} (alarm at {ALPHA:g})."
    if p_value > ALPHA:
        sentence += " Margins alone clear nothing: backdoor.scan would decide."
        return Verdict(level="undecided", metric=metric, sentence=sentence, weak=True)
    level: Level = "high" if metric == "p_value" else "elevated"
    return Verdict(level=level, metric=metric, sentence=sentence)


def _table(margins: Margins, context: Context) -> Table:
    order = np.argsort(-margins.values, kind="stable")[:20]
    return Table(
        title="Margins by label, the largest first",
        caption="The largest margin that noise could be driven to, in units of the logits.",
        columns=["label", "margin"],
        rows=[[class_name(context.class_names, int(i)), round(float(margins.values[i]), 3)] for i in order],
    )


def _gallery(margins: Margins, context: Context) -> Gallery:
    order = np.argsort(-margins.values, kind="stable")[:3]
    return Gallery(
        title="What the largest margins look like",
        caption="Noise, driven to the largest margin of a label. A planted patch often shows at its place.",
        columns=["image"],
        rows=[class_name(context.class_names, int(i)) for i in order],
        files=[[save_png(margins.images[i], context.artefacts / f"margin_{i}.png")] for i in order],
    )
