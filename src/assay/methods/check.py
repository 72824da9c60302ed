"""What every finding must keep to, checked once, by whoever runs a method."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from assay.base.errors import MethodError
from assay.methods.finding import Finding, Metric

TOLERANCE = 1e-6
"""How far a mean of samples may lie from the metric that says that it is that mean, relative to 1 or its size."""


def check_finding(finding: object, name: str, artefacts: Path) -> Finding:
    """What the method ``name`` handed back, if it is a finding that holds.

    Metrics have different names, and an interval or a reason for having none. The verdict names one of them; unless it
    is undecided, that metric has a value and a scale. Samples have one length, and their means are their metrics.
    Pictures are files in the folder ``artefacts``.

    Raises:
        MethodError: naming what does not hold.
    """
    if not isinstance(finding, Finding):
        raise MethodError(f"{name} handed back a {type(finding).__name__}, and must hand back a Finding.")
    for wrong in (_metrics(finding), _verdict(finding), _samples(finding), _pictures(finding, artefacts)):
        if wrong:
            raise MethodError(f"{name} reports what no finding may hold: {wrong}.")
    return finding


def _metrics(finding: Finding) -> str:
    counts = Counter(metric.name for metric in finding.metrics)
    for name, count in counts.items():
        if count > 1:
            return f"{count} metrics are called {name}"
    for metric in finding.metrics:
        if metric.value is not None and metric.interval is None and not metric.note:
            return f"{metric.name} has neither an interval nor a note that says why not"
        if metric.value is not None and metric.interval is not None:
            low, high = metric.interval.low, metric.interval.high
            if not low - TOLERANCE <= metric.value <= high + TOLERANCE:
                return f"{metric.name} is {metric.value:g}, outside its interval of {low:g} to {high:g}"
    return ""


def _verdict(finding: Finding) -> str:
    verdict = finding.verdict
    decided = next((metric for metric in finding.metrics if metric.name == verdict.metric), None)
    if decided is None:
        return f"its verdict rests on {verdict.metric!r}, which is none of its metrics"
    if verdict.level != "undecided" and decided.value is None:
        return f"its verdict is {verdict.level} by {decided.name}, which has no value"
    if verdict.level != "undecided" and decided.scale is None:
        return f"its verdict is {verdict.level} by {decided.name}, which has no scale"
    return ""


def _samples(finding: Finding) -> str:
    samples, metrics = finding.samples, {metric.name: metric for metric in finding.metrics}
    try:
        samples.table()
    except ValueError as error:
        return str(error)
    for name in (*samples.outcomes, *samples.scores):
        if name not in metrics:
            return f"samples are kept for {name!r}, which is none of its metrics"
    if samples.scores and samples.positive is None:
        return "samples have scores, and do not say which samples they should find (positive)"
    for name, column in samples.outcomes.items():
        if wrong := _mean(metrics[name], np.asarray(column, np.float64)):
            return wrong
    return ""


def _mean(metric: Metric, column: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    """Why a column is not what a metric is the mean of; empty if it is."""
    if np.isinf(column).any():
        return f"samples of {metric.name} are infinite"
    counted = column[~np.isnan(column)]
    if metric.value is None or not len(counted):
        return ""
    mean = float(counted.mean()) * (100 if metric.unit == "%" else 1)
    if abs(mean - metric.value) > TOLERANCE * max(1.0, abs(metric.value)):
        return f"{metric.name} is {metric.value:g}, and the mean of its samples is {mean:g}"
    return ""


def _pictures(finding: Finding, artefacts: Path) -> str:
    for figure in finding.figures:
        if figure.kind != "gallery":
            continue
        if len(figure.files) != len(figure.rows) or any(len(row) != len(figure.columns) for row in figure.files):
            return f"the pictures of {figure.title!r} do not fit its rows and columns"
        for file in (file for row in figure.files for file in row):
            if not (artefacts / file).is_file():
                return f"the picture {file} of {figure.title!r} is not in its folder"
    return ""
