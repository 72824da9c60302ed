"""What one service answered about one data set at one time, and what several answered about the same examples."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import DataError

UNANSWERED = -1
"""The label where a service gave none: no face found, nothing understood."""

ABOVE_CHANCE = 1.001
"""A label's confidence is taken as at least so many times one over the number of classes: it stays the label then."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The answers of one service to one data set.

    ``labels`` int64 (n,), `UNANSWERED` or 0 to ``num_classes`` - 1; ``confidence`` float64 (n,) in [0, 1], what the
    service said of its label, or None where it was not recorded. ``examples`` names each row, no two alike. ``date`` is
    as the source writes it, empty where it is not known. ``price_per_10k`` is in US dollars for 10,000 questions.
    """

    service: str
    dataset: str
    examples: tuple[str, ...]
    labels: NDArray[np.int64]
    confidence: NDArray[np.float64] | None
    num_classes: int
    date: str = ""
    price_per_10k: float | None = None

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            DataError: if lengths differ, an example comes twice, a label is no class, or a confidence is not in [0, 1].
        """
        count = len(self.examples)
        if not count:
            raise DataError(f"{self.name} holds no answers.")
        if len(set(self.examples)) < count:
            ((twice, _),) = Counter(self.examples).most_common(1)
            raise DataError(f"{self.name} answers about {twice!r} more than once.")
        if self.labels.shape != (count,) or (self.confidence is not None and self.confidence.shape != (count,)):
            raise DataError(f"{self.name} must have one label and one confidence for each of its {count:,} examples.")
        if self.labels.min() < UNANSWERED or self.labels.max() >= self.num_classes:
            raise DataError(f"{self.name} has labels outside of its classes, 0 to {self.num_classes - 1}.")
        if self.confidence is not None:
            wrong = ~((self.confidence >= 0) & (self.confidence <= 1))
            if wrong.any():
                row = int(wrong.argmax())
                raise DataError(
                    f"{self.name} answers about {self.examples[row]!r} with the confidence {self.confidence[row]:g}, "
                    "which is not between 0 and 1."
                )

    @property
    def name(self) -> str:
        """Service, data set and date."""
        return " ".join(filter(None, (self.service, "on", self.dataset, self.date)))

    def answered(self) -> NDArray[np.bool_]:
        """Which examples got a label, (n,)."""
        found: NDArray[np.bool_] = self.labels != UNANSWERED
        return found

    def posteriors(self) -> NDArray[np.float32]:
        """Soft labels float32 (n, num_classes), rows summing to 1, as MeBench makes them of a label with confidence c.

        c on the label and (1 - c) / (K - 1) on each other class; uniform where there was no answer; all on the label
        where no confidence was recorded. A c of at most 1/K cannot be the posterior of the label (some services' are
        magnitudes): it is raised to just above 1/K, so that the label stays the most likely class.
        """
        classes, answered = self.num_classes, self.answered()
        sure = np.ones(len(self.labels)) if self.confidence is None else self.confidence
        top = np.maximum(sure, ABOVE_CHANCE / classes)[:, None]
        soft = np.repeat((1 - top) / (classes - 1), classes, axis=1)
        np.put_along_axis(soft, np.where(answered, self.labels, 0)[:, None], top, axis=1)
        soft[~answered] = 1 / classes
        return soft.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class RecordedSet:
    """What several services answered about the same examples, in one order; ``truth`` int64 (n,) are true labels."""

    name: str
    truth: NDArray[np.int64]
    recordings: tuple[Recording, ...]

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            DataError: if there is no recording, two are of one service and date, or examples differ.
        """
        if not self.recordings:
            raise DataError(f"{self.name} holds no service's answers.")
        known = [(recording.service, recording.date) for recording in self.recordings]
        if len(set(known)) < len(known):
            raise DataError(f"{self.name} holds two recordings of one service at one date.")
        first = self.recordings[0].examples
        for recording in self.recordings:
            if recording.examples != first or len(self.truth) != len(first):
                raise DataError(f"The services of {self.name} were not asked about the same examples in one order.")
