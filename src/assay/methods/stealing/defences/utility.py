"""What a response policy costs those whom the service is for: pure functions over true and served posteriors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import Floats, bootstrap
from assay.methods.finding import Interval, Metric
from assay.methods.measures import proportion, resampled

BINS = 15
"""Bins of equal width in which confidence and accuracy are compared."""


class Service(NamedTuple):
    """n test images: true ``labels`` (n,), the model's posteriors and those served instead, (n, classes)."""

    labels: NDArray[np.int64]
    true: NDArray[np.float32]
    served: NDArray[np.float32]

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Where another label is served than the model's (n,)."""
        changed: NDArray[np.bool_] = self.true.argmax(axis=1) != self.served.argmax(axis=1)
        return changed

    @property
    def gained(self) -> Floats:
        """1 where only the served label is right, -1 where only the model's is, else 0 (n,)."""
        served, true = (correct(p, self.labels) for p in (self.served, self.true))
        return served.astype(np.float64) - true

    @property
    def distance(self) -> Floats:
        """L1 distance of served from true posteriors (n,), in [0, 2]."""
        distance: Floats = np.abs(self.served.astype(np.float64) - self.true).sum(axis=1)
        return distance


def correct(posteriors: NDArray[Any], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where the most probable class is the label (n,)."""
    right: NDArray[np.bool_] = posteriors.argmax(axis=1) == labels
    return right


def calibration_columns(posteriors: NDArray[Any], labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
    """Each row's bin of confidence, 0 to 14, and its confidence less its correctness (n,)."""
    confidence = posteriors.max(axis=1).astype(np.float64)
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return bins, confidence - correct(posteriors, labels)


def calibration_error(bins: NDArray[np.int64], excess: Floats) -> Floats:
    """Expected calibration error (r,) of r samples (r, n) of `calibration_columns`.

    ``sum over bins of (rows in bin / n) |mean confidence - accuracy|`` with 15 bins of equal width, closed above (Guo
    et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3).
    """
    sums = [np.abs(np.where(bins == number, excess, 0.0).sum(axis=1)) for number in range(BINS)]
    error: Floats = np.sum(sums, axis=0) / bins.shape[1]
    return error


def utility_metrics(service: Service, key: str, policy: str, seed: int) -> list[Metric]:
    """A policy's ``labels_changed``, ``accuracy_change``, ``l1_distance`` and ``calibration_change``, each ``_key``."""
    columns = (
        *calibration_columns(service.served, service.labels), *calibration_columns(service.true, service.labels)
    )  # fmt: skip

    def change(*drawn: NDArray[Any]) -> Floats:
        return calibration_error(drawn[0], drawn[1]) - calibration_error(drawn[2], drawn[3])

    value = float(change(*(column[None] for column in columns))[0])
    bounds = bootstrap(change, *columns, seed=seed)
    half = (bounds.high - bounds.low) / 2
    return [
        proportion(f"labels_changed_{key}", f"Labels changed by {policy}", service.changed),
        resampled(
            f"accuracy_change_{key}",
            f"Change of accuracy by {policy}",
            lambda rows: rows.mean(1),
            service.gained,
            seed=seed,
        ),
        resampled(
            f"l1_distance_{key}",
            f"Mean L1 distance from the true posteriors, {policy}",
            lambda rows: rows.mean(1),
            service.distance,
            seed=seed,
        ),
        Metric(
            name=f"calibration_change_{key}",
            label=f"Change of the expected calibration error by {policy}",
            value=value,
            interval=Interval(low=value - half, high=value + half, level=bounds.level, method="bootstrap, centred"),
            n=len(service.labels),
            note="Centred on the value: the error of a resample is too large by what the sample's own is.",
        ),
    ]
