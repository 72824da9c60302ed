"""Other labels of a model as the null of the one that stands out, and the verdict by it or by clean networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import Floats
from assay.methods.backdoor.models.null import ALPHA, P_VALUE, Judged
from assay.methods.backdoor.models.outliers import OWN_NULL, largest_p_value
from assay.methods.finding import Metric, Verdict


def own_p_value(statistics: Floats, drawn: NDArray[np.bool_], labels: int) -> Metric:
    """``own_p_value``: of the largest of (k,) statistics under a gamma distribution fitted to labels ``drawn`` (k,).

    ``drawn`` are all labels, or those that were drawn at random where others were chosen because they look suspicious;
    ``labels`` is how many the model has. None with fewer than `OWN_NULL`.
    """
    name, label = "own_p_value", "p-value among the model's own labels"
    if labels < OWN_NULL:
        note = f"A model's own labels are a null from {OWN_NULL} on; this one has {labels}."
        return Metric(name=name, label=label, value=None, n=labels, note=note, scale=P_VALUE)
    value = largest_p_value(statistics, drawn, labels)
    if value is None:
        note = "No distribution can be fitted to the other labels."
        return Metric(name=name, label=label, value=None, n=labels, note=note, scale=P_VALUE)
    note = "Under a gamma distribution fitted to the other labels, times the number of labels; no interval."
    return Metric(name=name, label=label, value=value, n=labels, note=note, scale=P_VALUE)


def decide(found: str, judged: Judged, own: Metric) -> Verdict:
    """``elevated`` by clean networks of like kind, or by the model's own labels where these are many; never ``high``.

    Evidence without a trigger that works is no proof. Without an alarm, or a null, the verdict is ``undecided`` and
    weak: no such evidence finds most backdoors alone.
    """
    metric, value, among = "p_value", judged.p_value, f"among {judged.of}"
    if own.value is not None:
        metric, value, among = own.name, own.value, f"among the model's own {own.n} labels"
    if value is None:
        sentence = f"{found}. There is no p-value: {judged.of} are known. {own.note}"
        return Verdict(level="undecided", metric="p_value", sentence=sentence, weak=True)
    sentence = f"{found}; p = {value:.3f} {among} (alarm at {ALPHA:g})."
    if value <= ALPHA:
        sentence += " No trigger was looked for: this names a label to look at, and proves nothing."
        return Verdict(level="elevated", metric=metric, sentence=sentence)
    sentence += " That clears nothing: backdoor.scan would decide."
    return Verdict(level="undecided", metric=metric, sentence=sentence, weak=True)
