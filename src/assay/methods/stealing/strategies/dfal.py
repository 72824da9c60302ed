"""Images close to the surrogate's decision boundary."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.methods.stealing.deepfool import deepfool_distances
from assay.methods.stealing.strategies.k_center import spread
from assay.methods.stealing.strategies.rounds import Rounds
from assay.methods.stealing.strategies.strategy import STRATEGIES
from assay.methods.stealing.strategies.uncertainty import first
from assay.methods.stealing.thief import Thief
from assay.targets.target import Modality

BATCH = 256
"""Images attacked at a time."""


@STRATEGIES.add("dfal")
class Dfal(Rounds):
    """The images that DeepFool needs the least change for, on the surrogate; they are asked about as they are.

    Ducoffe and Precioso, Adversarial active learning for deep networks, arXiv 1802.09841, as in ActiveThief (Pal et
    al., AAAI 2020). Fewer candidates than in the cheaper strategies, for every one is attacked.
    """

    name: ClassVar[str] = "dfal"
    modalities: ClassVar[tuple[Modality, ...]] = ("image",)

    candidates: int = Field(default=2_000, ge=1, description="Unasked images attacked in a round, at most.")
    classes: int = Field(default=5, ge=1, description="The most probable other classes that DeepFool considers.")
    steps: int = Field(default=10, ge=1, description="DeepFool's steps at most.")

    def choose(self, thief: Thief, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        return self.nearest(thief, rows, count)

    def nearest(self, thief: Thief, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """The ``count`` rows nearest to the surrogate's boundary."""
        pool = thief.require_pool()
        distances = [
            deepfool_distances(
                thief.surrogate,
                pool.take(rows[start : start + BATCH]),
                thief.device,
                classes=min(self.classes, thief.num_classes - 1),
                steps=self.steps,
            )
            for start in range(0, len(rows), BATCH)
        ]
        return first(rows, torch.cat(distances), count)


@STRATEGIES.add("dfal-k-center")
class DfalKCenter(Dfal):
    """Of the images nearest to the boundary, those that lie far from each other and from what was asked.

    ActiveThief's combination (Pal et al., AAAI 2020). There DFAL preselects as many images as the whole
    budget; here a multiple of what the round asks, since fewer candidates are attacked.
    """

    name: ClassVar[str] = "dfal-k-center"

    preselected: int = Field(default=3, ge=1, description="DFAL hands so many times a round's images to k-center.")

    def choose(self, thief: Thief, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        return spread(thief, self.nearest(thief, rows, min(len(rows), self.preselected * count)), count)
