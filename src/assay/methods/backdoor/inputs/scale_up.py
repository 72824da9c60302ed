"""SCALE-UP: predictions that stay when the pixels are multiplied."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Oracle
from assay.base.intervals import Floats
from assay.data.images import Images, batches
from assay.methods.about import About
from assay.methods.backdoor.inputs.detector import ATLAS, EXAMINER, InputDetector
from assay.methods.method import Context, method

BATCH = 256
"""Images asked about at a time."""

Factors = tuple[float, ...]


def scaled(images: torch.Tensor, factor: float) -> torch.Tensor:
    """Images (n, c, h, w) in [0, 1], every pixel multiplied and clipped at 1."""
    return (images * factor).clamp(max=1.0)


def consistency(before: NDArray[np.int64], after: NDArray[np.int64]) -> Floats:
    """Scaled prediction consistency (n,) in [0, 1]: the share of predictions (n, factors) equal to the first (n,)."""
    return np.asarray((after == before[:, None]).mean(axis=1), dtype=np.float64)


@method
class ScaleUp(InputDetector):
    """SCALE-UP: an input whose prediction stays the same however its pixels are multiplied carries a trigger.

    Measured is the share of factors that leave the predicted class as it was. The published threshold is 0.5 for every
    model; here clean images set it. With five factors the measure has six values: where too many clean images reach
    the highest, no threshold flags anything, and the error rates say so.
    """

    name = "backdoor.scale_up"
    needs = "label"
    about = About(
        title="SCALE-UP (predictions under multiplied pixels)",
        summary=(
            "Multiplies the pixels of each suspicious image and flags those whose prediction stays; without suspicious "
            "images, tries generic patches as triggers."
        ),
        paper=(
            "Guo et al., SCALE-UP: An Efficient Black-box Input-level Backdoor Detection via Analyzing Scaled "
            "Prediction Consistency, ICLR 2023; the search among generic patches is Assay's own."
        ),
        threat_model=EXAMINER,
        atlas=ATLAS,
    )
    short = "scale_up"
    detector = "SCALE-UP"
    measured = "Scaled prediction consistency"
    presets = {"standard": {"max_images": 2000}, "full": {"max_images": 5000}}

    factors: Factors = Field(
        default=(3.0, 5.0, 7.0, 9.0, 11.0), min_length=1, description="What the pixels are multiplied by, one by one."
    )

    def measurements(
        self, oracle: Oracle, images: Images, pool: torch.Tensor, context: Context, purpose: str
    ) -> Floats:
        """Consistency (n,); the pool is not used."""
        shares = []
        with context.progress.step(f"scaling {purpose}", len(images)) as bar:
            for batch in batches(images, BATCH):
                before = oracle.ask(batch.images).labels
                after = [oracle.ask(scaled(batch.images, factor)).labels for factor in self.factors]
                shares.append(consistency(before, np.stack(after, axis=1)))
                bar.advance(len(batch.images))
        return np.concatenate(shares)

    def questions(self, oracle: Oracle) -> int:
        return 1 + len(self.factors)
