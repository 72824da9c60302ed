"""MM-BD: a label whose margin can be driven far above the others', found without any data."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from assay.base.errors import AccessError
from assay.data.splits import Splits
from assay.methods.backdoor.models.margins import Ascent, Margins, largest_margins
from assay.methods.backdoor.models.null import ALPHA, judge, kind_of, shipped_nulls
from assay.methods.backdoor.models.outliers import FEWEST_LABELS, largest_p_value, leads
from assay.methods.backdoor.models.results import NO_INTERVAL, p_value_metric
from assay.methods.finding import Family, Finding, Gallery, Metric, Table, Verdict
from assay.methods.measures import class_name
from assay.methods.method import Context, Method, Need, Preset, method, require_white_box
from assay.methods.pictures import save_png

LEAST = 1e-6
"""As which a margin that is not positive counts."""


@method
class MmBd(Method):
    """The largest margin that noise can be driven to for each label; that of a backdoor's target is unusually large.

    All labels climb in one batch. The largest margin is judged by a gamma distribution fitted to the others, which
    takes five labels, and against clean models.
    """

    name: ClassVar[str] = "backdoor.mm_bd"
    family: ClassVar[Family] = "backdoor"
    needs: ClassVar[Need] = "white-box"
    title: ClassVar[str] = "MM-BD"
    summary: ClassVar[str] = "Drives noise to the largest margin for each label; a backdoor's target stands out."
    threat_model: ClassVar[str] = (
        "Somebody who trained the model, or poisoned its training data, may have planted a backdoor of whatever kind. "
        "The examiner has the network and no data at all."
    )
    paper: ClassVar[str] = (
        "Wang et al., MM-BD: post-training detection of backdoor attacks with arbitrary backdoor pattern types using a "
        "maximum margin statistic, IEEE S&P 2024"
    )
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0018.000",)
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {"full": {"starts": 30, "steps": 300}}

    starts: int = Field(default=10, ge=1, description="Random images for each label; paper: 30.")
    steps: int = Field(default=150, ge=1, description="Steps at most; paper: 300.")
    rate: float = Field(default=1e-2, gt=0, description="Learning rate, for pixels in [0, 1].")
    momentum: float = Field(default=0.2, ge=0, lt=1, description="Momentum from step to step.")

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`. No part of the data is looked at.

        Raises:
            AccessError: if gradients are not finite or vanish, or margins stay infinite.
        """
        box = require_white_box(access)
        labels = np.arange(box.num_classes)
        ascent = Ascent(self.starts, self.steps, self.rate, self.momentum)
        margins = largest_margins(box, labels, ascent, context.generator("mm-bd: start"))
        if not np.isfinite(margins.values).all():
            raise AccessError("The network's margins are not finite, so that they cannot be compared.")
        largest = int(margins.values.argmax())
        own = float(box.logits(margins.images[largest : largest + 1])[0].argmax() == largest)
        positive = margins.values.clip(min=LEAST)
        within_model = largest_p_value(positive)
        lead = float(-leads(positive)[largest])
        judged = judge(self.name, {"lead": lead}, kind_of(box), shipped_nulls(), context.weights)
        few = f"A distribution cannot be fitted to the margins of {box.num_classes} labels."
        metrics = [
            Metric(
                name="gamma_p_value",
                label="p-value of the largest margin among the model's own labels",
                value=within_model,
                n=box.num_classes,
                note=few if within_model is None else "The paper's rule: an alarm below 0.05.",
            ),
            p_value_metric(judged),
            Metric(name="largest_margin", label="Largest margin", value=float(positive[largest]), note=NO_INTERVAL),
            Metric(name="lead", label="Log of the largest over the median margin", value=lead, note=NO_INTERVAL),
            Metric(name="reached", label="Whether it is classified so", value=own, note=NO_INTERVAL),
            Metric(name="gradients", label="Image gradients", value=float(box.ledger.gradients), note=NO_INTERVAL),
        ]
        p_value = within_model if judged.p_value is None else judged.p_value
        name = class_name(context.class_names, largest)
        return Finding(
            metrics=metrics,
            verdict=_verdict(p_value, judged.of if judged.p_value is not None else "", name, lead, box.num_classes),
            figures=[_table(margins, context), _gallery(margins, context)],
            samples={"label": labels, "margin": margins.values},
        )


def _verdict(p_value: float | None, against: str, name: str, lead: float, labels: int) -> Verdict:
    """``high`` only against clean models; the paper's rule alone says ``elevated`` at most."""
    found = f"The largest margin, {np.exp(lead):.1f} times the median of the others, is that of {name}"
    if p_value is None:
        sentence = (
            f"{found}; with {labels} labels (of {FEWEST_LABELS} needed) and no clean models no null can be fitted."
        )
        return Verdict(level="undecided", metric="gamma_p_value", sentence=sentence)
    metric = "p_value" if against else "gamma_p_value"
    among = f"among {against}" if against else "under a distribution fitted to the model's other labels"
    sentence = f"{found}; p = {p_value:.3f} {among} (alarm at {ALPHA:g})."
    if p_value > ALPHA:
        return Verdict(level="low", metric=metric, sentence=sentence)
    return Verdict(level="high" if against else "elevated", metric=metric, sentence=sentence)


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
