"""From scores to what a finding holds: metrics with intervals, curves and the verdict. Shared by all attacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import Floats, auc_bounds, clopper_pearson, delong_auc, difference_of_proportions
from assay.data.images import Images
from assay.methods.finding import (
    Gallery,
    Histogram,
    Interval,
    Lines,
    Metric,
    Samples,
    Series,
    Table,
)
from assay.methods.in_words import in_words
from assay.methods.membership.attack import Population
from assay.methods.membership.blind import Blind
from assay.methods.membership.roc import (
    FALSE_POSITIVE_RATES,
    PRIORS,
    Rate,
    Scores,
    held_out_accuracy,
    precision_at,
    roc_curve,
    thinned,
    tpr_at,
)
from assay.methods.membership.verdict import ALARMS, AUC_SCALE, DECIDING_TPR, TPR_SCALE
from assay.methods.method import Context
from assay.methods.pictures import save_png


def rate_metric(name: str, label: str, rate: Rate, n: int) -> Metric:
    """A `Rate` as a metric."""
    interval = None if rate.bounds is None else Interval(**rate.bounds._asdict())
    return Metric(name=name, label=label, value=rate.value, interval=interval, n=n, note=rate.note)


def auc_metric(signal: str, scores: Scores, note: str = "") -> Metric:
    """``auc_<signal>``: the area under the ROC curve, with DeLong's interval."""
    auc = delong_auc(*scores)
    rate = Rate(auc.value, auc_bounds(auc), note)
    metric = rate_metric(f"auc_{signal}", f"AUC, {_words(signal)}", rate, len(scores[0]) + len(scores[1]))
    return metric.judged_by(AUC_SCALE)


def blind_metrics(blind: Blind | None) -> list[Metric]:
    """``auc_blind``, of the classifier that never asks the model; nothing where it was not trained."""
    if blind is None:
        return []
    said = "a shift between the two sets" if blind.named else "no shift between the two sets is sure"
    note = f"From inputs and labels alone, without the model: {said}."
    return [auc_metric("blind", blind.scores, note).model_copy(update={"scale": None})]


def low_rate_metrics(scores: Scores, seed: int) -> list[Metric]:
    """Balanced accuracy, true-positive rates at low false-positive rates, and precision at several priors.

    Names: ``balanced_accuracy``; ``tpr_at_fpr_0.01`` and so on; ``precision_at_prior_0.1`` and so on, each at the
    threshold of a 1 % false-positive rate.
    """
    roc = roc_curve(*scores)
    everybody = roc.members + roc.non_members
    accuracy = held_out_accuracy(*scores, seed)
    return [
        rate_metric("balanced_accuracy", "Balanced accuracy", accuracy, everybody),
        *true_positive_rates(scores),
        *precision_metrics(lambda prior: precision_at(roc, ALARMS, prior), everybody),
    ]


def true_positive_rates(scores: Scores) -> list[Metric]:
    """``tpr_at_fpr_<rate>`` at each of `roc.FALSE_POSITIVE_RATES`; at `ALARMS` it has a scale."""
    roc = roc_curve(*scores)
    metrics = [
        rate_metric(f"tpr_at_fpr_{rate:g}", f"TPR at {100 * rate:g} % FPR", tpr_at(roc, rate), roc.members)
        for rate in FALSE_POSITIVE_RATES
    ]
    return [metric.judged_by(TPR_SCALE) if metric.name == DECIDING_TPR else metric for metric in metrics]


def precision_metrics(precision: Callable[[float], Rate], n: int) -> list[Metric]:
    """``precision_at_prior_<prior>`` at each of `roc.PRIORS`, for thresholds of `ALARMS` false positives."""
    return [
        rate_metric(
            f"precision_at_prior_{prior:g}",
            f"Precision at {100 * ALARMS:g} % FPR where {100 * prior:g} % are members",
            precision(prior),
            n,
        )
        for prior in PRIORS
    ]


def gap_metrics(members_right: NDArray[np.bool_], non_members_right: NDArray[np.bool_], note: str = "") -> list[Metric]:
    """Accuracy on members and on non-members, the gap between them, and the correctness attack's AUC.

    Names: ``train_accuracy``, ``test_accuracy``, ``overfitting_gap``, ``auc_correctness``. The last is 0.5 + gap / 2
    exactly, and its interval is Newcombe's for the gap, carried over.
    """
    right = [int(part.sum()) for part in (members_right, non_members_right)]
    sizes = [len(members_right), len(non_members_right)]
    train, test = (
        rate_metric(name, label, Rate(hits / n, clopper_pearson(hits, n), note), n)
        for name, label, hits, n in zip(
            ("train_accuracy", "test_accuracy"), ("Accuracy on members", "Accuracy on non-members"), right, sizes,
            strict=True,
        )
    )  # fmt: skip
    gap = right[0] / sizes[0] - right[1] / sizes[1]
    bounds = difference_of_proportions(right[0], sizes[0], right[1], sizes[1])
    halved = bounds._replace(low=0.5 + bounds.low / 2, high=0.5 + bounds.high / 2)
    return [
        train,
        test,
        rate_metric("overfitting_gap", "Accuracy gap, members - non-members", Rate(gap, bounds, ""), sum(sizes)),
        rate_metric(
            "auc_correctness", "AUC, correctness", Rate(0.5 + gap / 2, halved, "0.5 + gap / 2 exactly."), sum(sizes)
        ).judged_by(AUC_SCALE),
    ]


def samples_of(
    people: Population,
    scores: Mapping[str, Scores],
    outcomes: Mapping[str, Floats] | None = None,
    columns: Mapping[str, NDArray[Any]] | None = None,
    kept: NDArray[np.int64] | None = None,
) -> Samples:
    """Everybody who was judged, members first.

    ``scores`` are by signal, and become those of ``auc_<signal>``. ``kept`` int64 (k,) are the positions of those who
    were judged, members before non-members, where these are not all; scores, outcomes (`of_members`,
    `of_non_members`, `accuracies`) and columns, each (k,), are of them.
    """
    positive, names = np.repeat([True, False], [len(part.rows) for part in people.parts]), ("members", "non_members")
    everybody = {
        "row": np.concatenate([part.rows for part in people.parts]),
        "label": np.concatenate([part.labels for part in people.parts]),
        "predicted": np.concatenate([part.answers.labels for part in people.parts]),
        "positive": positive,
    }
    if kept is not None:
        everybody = {name: column[kept] for name, column in everybody.items()}
    positive = everybody.pop("positive")
    return Samples(
        row=everybody.pop("row"),
        part=np.where(positive, *names),
        outcomes=dict(outcomes or {}),
        scores={f"auc_{name}": np.concatenate(pair) for name, pair in scores.items()},
        positive=positive,
        columns={**everybody, **(columns or {})},
    )


def accuracies(members_right: NDArray[np.bool_], non_members_right: NDArray[np.bool_]) -> dict[str, Floats]:
    """Whether each answer is right, for ``train_accuracy`` and ``test_accuracy``: outcomes of `samples_of`."""
    flags = (members_right, non_members_right)
    return {"train_accuracy": of_members(flags), "test_accuracy": of_non_members(flags)}


def of_members(flags: tuple[NDArray[np.bool_], NDArray[np.bool_]]) -> Floats:
    """1 or 0 for each member (m,), NaN for each of n non-members: (m + n,)."""
    return np.concatenate([flags[0].astype(np.float64), np.full(len(flags[1]), np.nan)])


def of_non_members(flags: tuple[NDArray[np.bool_], NDArray[np.bool_]]) -> Floats:
    """NaN for each of m members, 1 or 0 for each non-member (n,): (m + n,)."""
    return np.concatenate([np.full(len(flags[0]), np.nan), flags[1].astype(np.float64)])


def roc_figure(scores: Mapping[str, Scores]) -> Lines:
    """The ROC curves of several signals on logarithmic axes."""
    series = []
    for name, pair in scores.items():
        fpr, tpr = thinned(roc_curve(*pair))
        series.append(Series(name=_words(name), x=fpr.tolist(), y=tpr.tolist()))
    return Lines(
        title="Members found against false alarms",
        caption="Each point is one threshold. Left is what counts: accusations that are nearly always right. "
        "The diagonal is guessing.",
        x_label="False-positive rate (non-members flagged)",
        y_label="True-positive rate (members flagged)",
        series=series,
        x_log=True,
        y_log=True,
        diagonal=True,
    )


def histogram(scores: Scores, edges: Floats, title: str, caption: str, x_label: str) -> Histogram:
    """The distributions of members and non-members over ``edges`` (m + 1,), each as shares that sum to 1."""
    counts = {
        name: (np.histogram(part, edges)[0] / len(part)).tolist()
        for name, part in zip(("members", "non-members"), scores, strict=True)
    }
    return Histogram(title=title, caption=caption, x_label=x_label, edges=edges.tolist(), counts=counts)


def most_exposed(
    images: Images, rows: NDArray[np.int64], scores: Floats, context: Context, count: int = 8
) -> Gallery | Table:
    """The members (``rows`` of ``images``) with the highest and the lowest scores: PNG artefacts, or a table."""
    order = np.argsort(-scores, kind="stable")
    count = min(count, len(order))
    sides = (("most", order[:count]), ("least", order[::-1][:count]))
    about = {
        "title": "The most and the least exposed members",
        "caption": "Members that the attack is surest of, and those that it is surest were not trained on.",
    }
    chosen = [in_words(images, rows[side], context.modality) for _, side in sides]
    lines = [[f"{name} exposed", line] for (name, _), side in zip(sides, chosen, strict=True) for line in side or ()]
    if context.modality != "image":
        return Table(**about, columns=["", context.modality], rows=lines)
    files = []
    for name, side in sides:
        pictures = images.take(rows[side])
        paths = [context.artefacts / f"{name}_exposed_{i}.png" for i in range(count)]
        files.append([save_png(image, path) for image, path in zip(pictures, paths, strict=True)])
    return Gallery(
        **about,
        columns=[str(i + 1) for i in range(count)],
        rows=["most exposed", "least exposed"],
        files=files,
    )


def _words(signal: str) -> str:
    return signal.replace("_", " ").replace("mlp", "MLP")
