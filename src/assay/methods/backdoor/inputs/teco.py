"""TeCo: how unevenly corruptions of an image change its prediction."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field

from assay.access import Oracle
from assay.base.intervals import Floats
from assay.data.images import Images, batches
from assay.methods.about import About
from assay.methods.backdoor.inputs.corruptions import CORRUPTIONS, SEVERITIES, Corruption
from assay.methods.backdoor.inputs.detector import ATLAS, EXAMINER, InputDetector
from assay.methods.backdoor.inputs.parts import FEWEST_IMAGES
from assay.methods.method import Context, method

BATCH = 256
"""Images corrupted and asked about at a time."""


@method
class Teco(InputDetector):
    """TeCo: an image whose prediction withstands some kinds of corruption and not others carries a trigger.

    Fifteen corruptions at five severities, each of the image as it came; for each kind the first severity that changes
    the predicted class is noted, 6 if none does. Measured is the standard deviation over the kinds. The corruptions are
    `corruptions.CORRUPTIONS`, like ImageNet-C's, which the authors use, but scaled to the image's size.
    """

    name = "backdoor.teco"
    needs = "label"
    about = About(
        title="TeCo (uneven robustness to corruptions)",
        summary=(
            "Corrupts each suspicious image in fifteen ways and flags those that withstand some kinds much longer than "
            "others; without suspicious images, tries generic patches as triggers."
        ),
        paper=(
            "Liu et al., Detecting Backdoors During the Inference Stage Based on Corruption Robustness Consistency, "
            "CVPR 2023; the search among generic patches is Assay's own."
        ),
        threat_model=EXAMINER,
        atlas=ATLAS,
    )
    short = "teco"
    detector = "TeCo"
    measured = "Deviation of the first severity that changes the prediction"
    presets = {"standard": {}, "full": {"max_images": 2000}}

    max_images: int = Field(
        default=400,
        ge=FEWEST_IMAGES,
        description="At most so many clean images for all purposes together, and suspects.",
    )

    def measurements(
        self, oracle: Oracle, images: Images, pool: torch.Tensor, context: Context, purpose: str
    ) -> Floats:
        """Deviations (n,) in [0, 2.5]; the pool is not used."""
        generator = context.generator(f"teco: corruptions of {purpose}")
        deviations = []
        with context.progress.step(f"corrupting {purpose}", len(images)) as bar:
            for batch in batches(images, BATCH):
                first = [first_changes(oracle, batch.images, change, generator) for change in CORRUPTIONS.values()]
                deviations.append(np.stack(first).std(axis=0))
                bar.advance(len(batch.images))
        return np.concatenate(deviations)

    def questions(self, oracle: Oracle) -> int:
        return 1 + len(CORRUPTIONS) * len(SEVERITIES)


def first_changes(oracle: Oracle, images: torch.Tensor, corruption: Corruption, generator: torch.Generator) -> Floats:
    """The first severity (n,), 1 to 5, at which each image's (n, c, h, w) predicted class changes; 6 if none.

    Every severity corrupts the image as it came. An image whose first change is known is not asked about again.
    """
    before = oracle.ask(images).labels
    first = np.full(len(images), len(SEVERITIES) + 1.0)
    rows = np.arange(len(images))
    for severity in SEVERITIES:
        if not len(rows):
            break
        changed = oracle.ask(corruption(images[rows], severity, generator)).labels != before[rows]
        first[rows[changed]] = severity
        rows = rows[~changed]
    return first
