"""Row means of the last layer: a backdoor's target has a row of larger weights. No data, no gradient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from assay.access import WhiteBox
from assay.base.errors import AccessError
from assay.base.intervals import Floats
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.backdoor.models.layers import last_weight
from assay.methods.backdoor.models.null import Kind, judge, kind_of, shipped_nulls
from assay.methods.backdoor.models.outliers import robust_scores
from assay.methods.backdoor.models.own_null import decide, own_p_value
from assay.methods.backdoor.models.results import NO_INTERVAL, p_value_metric
from assay.methods.finding import Finding, Metric, Samples, Table, Verdict
from assay.methods.measures import class_name
from assay.methods.method import Context, WhiteBoxMethod, method
from assay.methods.work import Sizes, Work

NO_LAST_LAYER = (
    "It does not end in a layer with one row of weights for every label: what the last layer would tell is missing."
)


class RowMeans(NamedTuple):
    """The mean weight of every label's row of the last layer (labels,), None where the network has no such layer."""

    means: Floats | None
    kind: Kind

    @property
    def scores(self) -> Floats:
        """How far every label's mean lies above the median of the others, in their median absolute deviations."""
        if self.means is None:
            raise ValueError("there is no last layer")
        return robust_scores(self.means)


@method
class LastLayer(WhiteBoxMethod[RowMeans]):
    """Means of the rows of the last layer; that of the target of a planted backdoor tends to be the largest by far.

    The weakest of the detectors, and the fastest. A network without batch normalisation behind its features keeps the
    trace; one with it need not. Clean networks of other kinds have labels that stand out too, so that it takes clean
    networks of like kind, or many labels, to judge by. It clears nothing.
    """

    name = "backdoor.last_layer"
    about = About(
        title="Row means of the last layer",
        summary="Looks for a label whose weights in the last layer are unusually large; takes milliseconds, no data.",
        paper=(
            "After DFBScanner, arXiv 2605.18907, which looks at the last layer's weights; the statistic and its "
            "calibration are Assay's own."
        ),
        threat_model=(
            "Somebody who trained the model, or poisoned its training data, may have planted a backdoor of whatever "
            "kind that leads to one class. The examiner has the network and no data at all."
        ),
    )
    presets = {"quick": {}, "standard": {}, "full": {}}

    def work(self, sizes: Sizes) -> Work | None:
        """One image is passed through; the rest is arithmetic on the weights."""
        return Work(forwards=1, seconds=0.05)

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> RowMeans:
        """One grey image is passed through, to see which layer is the last.

        Raises:
            AccessError: if weights are not finite.
        """
        return RowMeans(row_means(access), kind_of(access))

    def account(self, result: RowMeans, context: Context) -> Finding:
        labels = result.kind.labels
        if result.means is None:
            return _without()
        scores = result.scores
        top = int(scores.argmax())
        judged = judge(self.name, {"row_mean": float(scores[top])}, result.kind, shipped_nulls(), context.weights)
        own = own_p_value(result.means, np.ones(labels, dtype=bool), labels)
        name = class_name(context.class_names, top)
        found = f"{name} has the largest mean weight in the last layer, {scores[top]:.1f} deviations above the others"
        order = np.argsort(-scores, kind="stable")[:20]
        rows: list[list[str | float | None]] = [
            [class_name(context.class_names, int(i)), float(f"{result.means[i]:.4g}"), round(float(scores[i]), 2)]
            for i in order
        ]
        table = Table(
            title="Labels by their weights in the last layer",
            caption="The mean of a label's row, and how far it lies above the median of the others, in median absolute "
            "deviations (1.4826 of them are a standard deviation of normal numbers).",
            columns=["label", "mean weight", "deviations"],
            rows=rows,
        )
        return Finding(
            metrics=[
                p_value_metric(judged),
                own,
                Metric(name="row_mean", label="Deviations of the largest row", value=scores[top], note=NO_INTERVAL),
            ],
            verdict=decide(found, judged, own),
            figures=[table],
            samples=Samples(np.arange(labels), part="labels", columns={"mean": result.means, "row_mean": scores}),
        )


def row_means(box: WhiteBox) -> Floats | None:
    """The mean weight (labels,) of every label's row of the last layer, None if it has not one row for every label.

    Raises:
        AccessError: if weights are not finite.
    """
    weight = last_weight(box, torch.full((1, *box.input_shape), 0.5))
    if weight is None:
        return None
    means: Floats = weight.mean(1).numpy()
    if not np.isfinite(means).all():
        raise AccessError("The weights of the last layer are not finite.")
    return means


def _without() -> Finding:
    metric = Metric(name="p_value", label="Calibrated p-value", value=None, note=NO_LAST_LAYER)
    verdict = Verdict(level="undecided", metric="p_value", sentence=NO_LAST_LAYER, weak=True)
    return Finding(metrics=[metric], verdict=verdict)
