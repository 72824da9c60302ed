"""Detectors on streams of questions: who is noticed, after how many, and how often honest clients are."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import Answers, Oracle
from assay.access.detectors import DETECTORS, Alarm, Traffic, Watch
from assay.base.errors import DataError
from assay.data.images import Images, Subset

CHUNK = 250
"""Questions that a detector is shown at a time, so that its work can end at the first alarm."""


KNOWN = 2000
"""Ordinary questions that detectors are shown beforehand, at most."""


class Guards(NamedTuple):
    """Detectors by name, each as a maker of watches, and the honest traffic that they were not shown beforehand."""

    watches: dict[str, Callable[[], Watch]]
    honest: Subset


def posted(oracle: Oracle, ordinary: Images, generator: torch.Generator) -> Guards:
    """All registered detectors, shown at most half of the ordinary traffic, at random, with the model's own answers.

    A detector that finds too little of it is left out.
    """
    order = torch.randperm(len(ordinary), generator=generator).numpy()
    half = max(1, min(len(order) // 2, KNOWN))
    traffic = asked(oracle, Subset(ordinary, order[:half]))
    watches = {}
    for name, kind in DETECTORS.items():
        try:
            watches[name] = kind().watches(traffic)
        except DataError:
            continue
    return Guards(watches, Subset(ordinary, order[half:] if len(order) > half else order))


def asked(oracle: Oracle, images: Images) -> Traffic:
    """Images with the model's own answers, whatever its service answers: that is what a detector beside it sees."""
    return Traffic(images.take(np.arange(len(images))), oracle.evaluator().ask_all(images))


def first_alarm(watch: Watch, stream: Traffic) -> Alarm | None:
    """The first alarm over a stream, or None."""
    labels, posteriors = stream.answers
    for start in range(0, len(labels), CHUNK):
        stop = start + CHUNK
        part = Answers(labels[start:stop], None if posteriors is None else posteriors[start:stop])
        if alarm := watch.observe(stream.images[start:stop], part):
            return alarm
    return None


def false_alarms(make: Callable[[], Watch], honest: Traffic, each: int) -> NDArray[np.bool_]:
    """Whether each of several honest clients is suspected (clients,).

    The traffic is dealt to clients with ``each`` questions and no image in common; what is left over is not used. One
    client asks everything where there is less.
    """
    labels, posteriors = honest.answers
    each = min(each, len(labels))
    suspected = []
    for start in range(0, len(labels) - each + 1, each):
        rows = slice(start, start + each)
        answers = Answers(labels[rows], None if posteriors is None else posteriors[rows])
        suspected.append(first_alarm(make(), Traffic(honest.images[rows], answers)) is not None)
    return np.array(suspected)


class Noticed(NamedTuple):
    """One detector: whether each honest client was suspected (clients,), and the first alarm of each theft."""

    detector: str
    suspected: NDArray[np.bool_]
    alarms: dict[str, Alarm | None]


def noticed(oracle: Oracle, guards: Guards, each: int, thefts: dict[str, Traffic]) -> list[Noticed]:
    """What each detector says of honest clients with ``each`` questions, and of thefts by name."""
    honest = asked(oracle, guards.honest)
    return [
        Noticed(
            name,
            false_alarms(make, honest, each),
            {theft: first_alarm(make(), stream) for theft, stream in thefts.items()},
        )
        for name, make in guards.watches.items()
    ]
