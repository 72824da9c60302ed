"""A distribution test: whether a client's questions look like those of the service's honest clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field
from scipy.stats import ks_2samp

from assay.access.detectors.detector import DETECTORS, Alarm, Detector, Traffic, Watch
from assay.access.oracle import Answers
from assay.base.errors import DataError
from assay.base.intervals import Floats

FEWEST = 40
"""Ordinary questions without which there is nothing to compare with."""

MOST = 2000
"""Ordinary questions that are kept, the first so many."""


@DETECTORS.add("shift")
class Shift(Detector):
    """Two-sample Kolmogorov-Smirnov tests, window by window, that raise a false alarm with probability ``alpha``.

    Half of the ordinary questions are anchors. Two numbers describe a question: its L2 distance to the nearest anchor,
    and the confidence of its answer (only the first where labels are answered). In each ``window`` of a client's
    questions both are compared with those of the other half, and the smaller p-value, doubled, is the window's. The
    k-th window raises an alarm below ``alpha / (k (k + 1))``, which sums to ``alpha`` over all windows: an honest
    client, however long it stays, is suspected with at most that probability (where honest means exchangeable with the
    ordinary traffic). A client costs no more memory than one window.
    """

    name: ClassVar[str] = "shift"
    window: int = Field(default=100, ge=10)
    alpha: float = Field(default=0.01, gt=0.0, lt=1.0)

    def watches(self, ordinary: Traffic) -> Callable[[], Watch]:
        images = ordinary.images[:MOST].detach().cpu().to(torch.float32)
        if len(images) < FEWEST:
            raise DataError(f"The distribution test needs at least {FEWEST} ordinary questions, not {len(images)}.")
        anchors, others = images[::2].flatten(1), images[1::2]
        posteriors = ordinary.answers.posteriors
        answers = Answers(ordinary.answers.labels[:MOST][1::2], None if posteriors is None else posteriors[:MOST][1::2])
        reference = _Reference(anchors, _described(others, answers, anchors))
        return lambda: _Client(self, reference)


class _Reference(NamedTuple):
    """Anchors (m, pixels), and each column of numbers of the other half (n,)."""

    anchors: torch.Tensor
    columns: list[Floats]


def _described(images: torch.Tensor, answers: Answers, anchors: torch.Tensor) -> list[Floats]:
    rows = images.detach().cpu().to(torch.float32).flatten(1)
    distances = torch.cdist(rows, anchors).amin(dim=1).double().numpy()
    if answers.posteriors is None:
        return [distances]
    return [distances, answers.posteriors.max(axis=1).astype(np.float64)]


class _Client:
    def __init__(self, settings: Shift, reference: _Reference) -> None:
        self._settings, self._reference = settings, reference
        self._columns: list[Floats] = []
        self._queries = self._windows = 0

    def observe(self, images: torch.Tensor, answers: Answers) -> Alarm | None:
        alarm, start = None, 0
        while start < len(images):
            stop = start + self._settings.window - self._queries % self._settings.window
            posteriors = None if answers.posteriors is None else answers.posteriors[start:stop]
            part = Answers(answers.labels[start:stop], posteriors)
            fresh = _described(images[start:stop], part, self._reference.anchors)
            held = self._columns or [np.empty(0) for _ in fresh]
            self._columns = [np.concatenate(pair) for pair in zip(held, fresh, strict=True)]
            self._queries += len(part.labels)
            start = stop
            if self._queries % self._settings.window == 0:
                found = self._test()
                alarm = alarm or found
                self._columns = []
        return alarm

    def _test(self) -> Alarm | None:
        self._windows += 1
        pairs = list(zip(self._columns, self._reference.columns, strict=False))
        smallest = min(float(ks_2samp(own, other, method="asymp").pvalue) for own, other in pairs)
        statistic = min(1.0, len(pairs) * smallest)
        threshold = self._settings.alpha / (self._windows * (self._windows + 1))
        if statistic >= threshold:
            return None
        return Alarm(self._settings.name, self._queries, statistic, threshold)
