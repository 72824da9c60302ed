"""PRADA: honest questions lie at normally distributed distances from each other; a thief's do not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import shapiro

from assay.access.detectors.detector import DETECTORS, Alarm, Detector, Traffic, Watch, flat
from assay.access.oracle import Answers

EVERY = 10
"""Queries between two tests; also the distances that a class must have to take part in one."""

FEWEST = 100
"""A test needs more distances than this, outliers not counted."""

OUTLIER = 3.0
"""Distances so many deviations or more from the mean are left out of a test."""

MOST_DISTANCES = 5000
"""The latest distances that are kept of a client; the Shapiro-Wilk test is made for so many at most."""


@DETECTORS.add("prada")
class Prada(Detector):
    """Shapiro-Wilk's W of the distances between a client's questions falls below ``delta``.

    Juuti, Szyller, Marchal and Asokan, PRADA: Protecting Against DNN Model Stealing Attacks, EuroS&P 2019, algorithm 3,
    with the constants of its authors' code. For each answered class there is a growing set of questions. A question's
    distance (L2, pixels in [0, 1]) to the nearest of its class's set is noted; if it exceeds the set's threshold, the
    question joins the set, and the threshold rises to the mean less the deviation of the distances at which its
    questions joined (0 for the first), where that is higher. Every 10th question the noted distances, of classes that
    have at least 10 and without outliers of 3 deviations, are tested if they are more than 100.

    The authors keep everything. Here a client's memory is bounded: the sets take up ``most_images`` images together and
    then stay as they are, and the latest 5,000 distances are kept. Up to those sizes the two are the same.
    """

    name: ClassVar[str] = "prada"
    delta: float = Field(default=0.9, gt=0.0, lt=1.0)
    most_images: int = Field(default=2000, ge=1)

    def watches(self, ordinary: Traffic) -> Callable[[], Watch]:
        """A watch for each client; ordinary traffic is not used."""
        return lambda: _Client(self)


class _GrowingSet:
    """Questions (k, pixels) of one class, and the distances at which they joined."""

    def __init__(self, first: NDArray[np.float32]) -> None:
        self.threshold = 0.0
        self._joined = [0.0]
        self._held = first[None].copy()

    def distance(self, row: NDArray[np.float32]) -> float:
        difference = self._held[: len(self._joined)] - row
        return float(np.sqrt(np.einsum("ij,ij->i", difference, difference).min()))

    def add(self, row: NDArray[np.float32], distance: float) -> None:
        if len(self._joined) == len(self._held):
            self._held = np.concatenate([self._held, np.empty_like(self._held)])
        self._held[len(self._joined)] = row
        self._joined.append(distance)
        self.threshold = max(self.threshold, float(np.mean(self._joined) - np.std(self._joined)))


class _Client:
    def __init__(self, settings: Prada) -> None:
        self._settings = settings
        self._sets: dict[int, _GrowingSet] = {}
        self._size = 0
        self._noted: deque[tuple[int, float]] = deque(maxlen=MOST_DISTANCES)
        self._queries = 0

    def observe(self, images: torch.Tensor, answers: Answers) -> Alarm | None:
        alarm = None
        for row, label in zip(flat(images), answers.labels.tolist(), strict=True):
            self._note(row, label)
            self._queries += 1
            if self._queries % EVERY == 1:
                found = self._test()
                alarm = alarm or found
        return alarm

    def _note(self, row: NDArray[np.float32], label: int) -> None:
        growing = self._sets.get(label)
        if growing is None:
            if self._size < self._settings.most_images:
                self._sets[label] = _GrowingSet(row)
                self._size += 1
            return
        distance = growing.distance(row)
        self._noted.append((label, distance))
        if distance > growing.threshold and self._size < self._settings.most_images:
            growing.add(row, distance)
            self._size += 1

    def _test(self) -> Alarm | None:
        if len(self._noted) <= FEWEST:
            return None
        labels, distances = (np.array(column) for column in zip(*self._noted, strict=True))
        _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
        distances = distances[counts[place] >= EVERY]
        if len(distances) > 0:
            distances = distances[np.abs(distances - distances.mean()) < OUTLIER * distances.std()]
        if len(distances) <= FEWEST:
            return None
        statistic = float(shapiro(distances).statistic)
        if statistic >= self._settings.delta:
            return None
        return Alarm(self._settings.name, self._queries, statistic, self._settings.delta)
