"""The detector as a type, and its registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access.oracle import Answers
from assay.base.frozen import Frozen
from assay.base.registry import Registry


class Traffic(NamedTuple):
    """Questions and answers: images float32 (n, channels, height, width) in [0, 1], n answers."""

    images: torch.Tensor
    answers: Answers


class Alarm(NamedTuple):
    """What a detector says: after so many ``queries`` of one client its ``statistic`` fell below the ``threshold``."""

    detector: str
    queries: int
    statistic: float
    threshold: float


class Watch(Protocol):
    """One client under observation."""

    def observe(self, images: torch.Tensor, answers: Answers) -> Alarm | None:
        """Take note of n more questions (n, channels, height, width) and answers, in their order.

        Returns the first alarm that they raise, if any. How a stream is cut into calls changes nothing.
        """
        ...


class Detector(Frozen):
    """A detector's settings."""

    name: ClassVar[str]

    def watches(self, ordinary: Traffic) -> Callable[[], Watch]:
        """A maker of watches, one for each client; ``ordinary`` is traffic of which the owner knows that it is honest.

        Raises:
            DataError: if there is too little of it.
        """
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Name and settings, for identities and reports."""
        return {"name": self.name, **self.model_dump()}


DETECTORS: Registry[type[Detector]] = Registry("detector", "assay.access.detectors")


def flat(images: torch.Tensor) -> NDArray[np.float32]:
    """Images as rows (n, pixels)."""
    rows: NDArray[np.float32] = images.detach().cpu().to(torch.float32).flatten(1).numpy()
    return rows
