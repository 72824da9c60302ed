"""The clean images of an input detector, divided by purpose, and images that carry a trigger."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.digests import digest_json
from assay.base.errors import DataError
from assay.data.images import Images

FEWEST_IMAGES = 40
"""Clean images below which the four parts are too small to say anything."""

MOST_SCREENED = 50
"""Images that every generic patch is stamped on; the most effective patch is then measured on others."""

Change = Callable[[torch.Tensor], torch.Tensor]
"""Images float32 (n, c, h, w) in [0, 1] to changed copies."""


class Parts(NamedTuple):
    """Rows of the clean images, each used for one purpose only.

    ``pool``: what a detector lays over others, or tries suspected regions on. ``screening``: to find the patch.
    ``calibration``: to set thresholds. ``evaluation``: to be judged.
    """

    pool: NDArray[np.int64]
    screening: NDArray[np.int64]
    calibration: NDArray[np.int64]
    evaluation: NDArray[np.int64]


def divide(count: int, most: int, generator: torch.Generator) -> Parts:
    """At most ``most`` of ``count`` rows, shuffled, without overlap.

    A fifth are the pool and a tenth (at most `MOST_SCREENED`) screen patches; of the rest, four sevenths calibrate and
    three sevenths are judged.

    Raises:
        DataError: if there are fewer than `FEWEST_IMAGES`.
    """
    used = min(count, most)
    if used < FEWEST_IMAGES:
        raise DataError(f"Input detectors need at least {FEWEST_IMAGES} clean images, and {used} are to be used.")
    rows = torch.randperm(count, generator=generator).numpy()[:used]
    pool = used // 5
    screening = pool + min(used // 10, MOST_SCREENED)
    calibration = screening + (used - screening) * 4 // 7
    return Parts(*np.split(rows, [pool, screening, calibration]))


class Stamped:
    """A set whose images carry a trigger.

    As ``Splits.suspects`` it lets a detector be measured on a trigger that is known: ``Stamped(images, planted.stamp,
    digest)``.
    """

    def __init__(self, source: Images, stamp: Change, digest: str) -> None:
        """Stamp every image of a set when it is read; ``digest`` names the trigger."""
        self.source, self.stamp = source, stamp
        self.name = f"{source.name}, stamped"
        self.shape = source.shape
        self.labels = source.labels
        self.digest = digest_json({"of": source.digest, "stamped": digest})

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The images of these rows, with the trigger."""
        return self.stamp(self.source.take(rows))
