"""What measured defences amount to: metrics, a table, a picture and the verdict."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import Floats
from assay.methods.finding import Lines, Metric, Samples, Scale, Series, Table, Verdict
from assay.methods.measures import percent, proportion, resampled, within
from assay.methods.stealing.defences.detection import Noticed
from assay.methods.stealing.defences.utility import Service, utility_metrics
from assay.methods.stealing.results import level_of

MOST_CHANGED = 0.01
"""A policy that changes more of the labels than this costs its users too much to be recommended."""


class Row(NamedTuple):
    """One policy: its service, and where each thief's copy agrees with the target (n,)."""

    policy: str
    service: Service
    naive: NDArray[np.bool_]
    adaptive: NDArray[np.bool_]

    @property
    def key(self) -> str:
        """The policy as part of a metric's name."""
        return key_of(self.policy)


def key_of(text: str) -> str:
    """A policy's or strategy's text as part of a metric's name: letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def defence_metrics(as_served: NDArray[np.bool_], rows: Sequence[Row], scale: Scale, seed: int) -> list[Metric]:
    """Agreement as served; then for each policy its utility cost, and agreement left and lost by thief.

    ``as_served`` says where the copy of the service as it is agrees (n,); ``scale`` judges agreement. What is lost is
    a difference of proportions on the same test images, with a paired bootstrap interval.
    """
    whole = proportion("agreement_as_served", "Agreement of a copy of the service as it is", as_served)
    metrics = [whole.judged_by(scale)]
    for row in rows:
        key = row.key
        metrics += utility_metrics(row.service, key, row.policy, seed)
        for thief, agreed in (("naive", row.naive), ("adaptive", row.adaptive)):
            label = f"Agreement of the {thief} thief's copy, {row.policy}"
            lost = as_served.astype(np.float64) - agreed
            metrics += [
                proportion(f"agreement_{thief}_{key}", label, agreed).judged_by(scale),
                resampled(
                    f"agreement_lost_{thief}_{key}",
                    f"Agreement that the {thief} thief loses, {row.policy}",
                    lambda drawn: drawn.mean(1),
                    lost,
                    seed=seed,
                ),
            ]
    return metrics


def defence_samples(test: NDArray[np.int64], as_served: NDArray[np.bool_], rows: Sequence[Row]) -> Samples:
    """Where each copy agrees, and what each policy changes, on the n test images with these rows (n,)."""
    outcomes: dict[str, Floats] = {"agreement_as_served": as_served.astype(np.float64)}
    for row in rows:
        outcomes |= {
            f"agreement_naive_{row.key}": row.naive.astype(np.float64),
            f"agreement_adaptive_{row.key}": row.adaptive.astype(np.float64),
            f"labels_changed_{row.key}": row.service.changed.astype(np.float64),
        }
    return Samples(test, outcomes=outcomes)


def table(metrics: list[Metric], rows: Sequence[Row], refused: Sequence[str]) -> Table:
    """One line a policy: utility lost, agreement left and lost by either thief."""
    known = {metric.name: metric for metric in metrics}
    lines: list[list[str | float | None]] = [
        [
            "(as served)",
            *(_bounded(known["agreement_as_served"]) if name == "agreement_naive" else "" for name in COLUMNS),
        ]
    ]
    for row in rows:
        key = row.key
        of = {name: known[f"{name}_{key}"] for name in COLUMNS}
        lines.append([row.policy, *(_bounded(of[name]) for name in COLUMNS)])
    missing = f" Not measured: {' '.join(refused)}" if refused else ""
    return Table(
        title="What each defence costs and saves",
        caption="Against a thief who believes his answers (naive) and one who knows the policy (adaptive), with 95 % "
        "intervals; changes of accuracy and calibration error are those that users see." + missing,
        columns=["policy", *COLUMNS.values()],
        rows=lines,
    )


COLUMNS = {
    "accuracy_change": "accuracy",
    "labels_changed": "labels changed",
    "l1_distance": "L1 distance",
    "calibration_change": "calibration error",
    "agreement_naive": "agreement, naive",
    "agreement_lost_naive": "lost",
    "agreement_adaptive": "agreement, adaptive",
    "agreement_lost_adaptive": "lost (adaptive)",
}
"""Metrics of a policy, and the table's words for them."""


def picture(metrics: list[Metric], rows: Sequence[Row]) -> Lines:
    """Agreement of either copy against the distance of the answers from the truth."""
    known = {metric.name: metric for metric in metrics}
    order = sorted(rows, key=lambda row: float(row.service.distance.mean()))
    series = []
    for thief in ("naive", "adaptive"):
        points = [known["agreement_as_served"], *(known[f"agreement_{thief}_{row.key}"] for row in order)]
        series.append(
            Series(
                name=f"{thief} thief",
                x=[0.0, *(float(row.service.distance.mean()) for row in order)],
                y=[_value(point) for point in points],
                low=[point.interval.low if point.interval else _value(point) for point in points],
                high=[point.interval.high if point.interval else _value(point) for point in points],
            )
        )
    return Lines(
        title="Utility against agreement",
        caption="Each point is a policy, from left to right: as served, "
        + ", ".join(row.policy for row in order)
        + ".",
        x_label="Mean L1 distance of the answers from the true posteriors",
        y_label="Agreement of the copy",
        series=series,
    )


def detection_metrics(found: Sequence[Noticed]) -> list[Metric]:
    """For each detector its false alarm rate over honest clients, and its delay in questions for each theft."""
    metrics = []
    for one in found:
        label = f"Honest clients that {one.detector} suspects"
        metrics.append(proportion(f"false_alarms_{one.detector}", label, one.suspected, "Clients share no image."))
        for theft, alarm in one.alarms.items():
            metrics.append(
                Metric(
                    name=f"delay_{one.detector}_{theft}",
                    label=f"Questions until {one.detector} notices the strategy {theft}",
                    value=None if alarm is None else float(alarm.queries),
                    unit="images",
                    note="It never does." if alarm is None else "One theft, counted exactly.",
                )
            )
    return metrics


def detection_table(found: Sequence[Noticed]) -> Table:
    """One line a detector: honest clients suspected, and after how many questions each theft is noticed."""
    thefts = list(found[0].alarms) if found else []
    lines: list[list[str | float | None]] = [
        [
            one.detector,
            f"{int(one.suspected.sum())} of {len(one.suspected)}",
            *("not noticed" if alarm is None else f"after {alarm.queries:,}" for alarm in one.alarms.values()),
        ]
        for one in found
    ]
    return Table(
        title="Who is noticed",
        caption="Detectors beside the service see questions and the model's own answers, whatever the policy: honest "
        "clients asking about test images, and thefts by their query strategy.",
        columns=["detector", "honest clients suspected", *(f"theft: {theft}" for theft in thefts)],
        rows=lines,
    )


def verdict(metrics: list[Metric], rows: Sequence[Row]) -> Verdict:
    """The level by what a thief still gets, naive or adaptive, against the best policy that users can bear.

    That is the policy that leaves the least to the better of the two among those that change at most 1 % of the labels.
    ``high`` and ``low`` are decided as for thefts (see `assay.methods.stealing.results.verdict`).
    """
    known = {metric.name: metric for metric in metrics}
    as_served = known["agreement_as_served"]
    bearable = [row for row in rows if row.service.changed.mean() <= MOST_CHANGED]
    best = min(bearable, key=lambda row: max(row.naive.mean(), row.adaptive.mean()), default=None)
    left = as_served
    if best is not None:
        thief = "naive" if best.naive.mean() > best.adaptive.mean() else "adaptive"
        left = known[f"agreement_{thief}_{best.key}"]
    if best is None:
        sentence = (
            f"Every policy that was measured changes more than {percent(MOST_CHANGED)} of the labels. As served, a "
            f"copy agrees on {within(left)} of unseen inputs."
        )
    else:
        sentence = (
            f"Of {len(bearable)} policies that change at most {percent(MOST_CHANGED)} of the labels, {best.policy} "
            f"leaves the least to the better of two thieves: a copy that agrees on {within(left)} of unseen inputs; "
            f"as served {percent(_value(as_served))}. As the lowest of several, chosen after measuring, it is "
            "a little too low."
        )
    return Verdict(level=level_of(left), metric=left.name, sentence=sentence)


def _bounded(metric: Metric) -> str:
    bounds = metric.interval
    return f"{_value(metric):.3f}" + (f" ({bounds.low:.3f} to {bounds.high:.3f})" if bounds else "")


def _value(metric: Metric) -> float:
    if metric.value is None:
        raise ValueError(f"{metric.name} has no value")
    return metric.value
