"""STRIP: low entropy under overlays."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field

from assay.access import Oracle
from assay.base.intervals import Floats
from assay.data.images import Images, batches
from assay.methods.about import About
from assay.methods.backdoor.inputs.detector import ATLAS, EXAMINER, InputDetector
from assay.methods.backdoor.inputs.entropy import Overlay, entropies, overlaid
from assay.methods.method import Context, method
from assay.methods.work import Sizes, Work

BATCH = 256
"""Overlaid images asked about at a time."""


@method
class Strip(InputDetector):
    """STRIP: an input whose prediction does not change when other images are laid over it carries a trigger.

    Measured is the entropy of the predictions over classes, averaged over the overlays. The authors set the threshold
    by a normal distribution fitted to clean entropies; here it is their empirical quantile.
    """

    name = "backdoor.strip"
    version = 4
    needs = "posteriors"
    about = About(
        title="STRIP (entropy under overlays)",
        summary=(
            "Lays other images over each suspicious one and flags those whose predictions stay certain; without "
            "suspicious images, tries generic patches as triggers."
        ),
        paper=(
            "Gao et al., STRIP: a defence against trojan attacks on deep neural networks, ACSAC 2019; the search among "
            "generic patches is Assay's own."
        ),
        threat_model=EXAMINER,
        atlas=ATLAS,
    )
    short = "strip"
    detector = "STRIP"
    measured = "Entropy under overlays (bits)"
    sign = -1
    presets = {
        "quick": {},
        "standard": {"overlays": 64, "max_images": 2000},
        "full": {"overlays": 100, "max_images": 5000},
    }

    def work(self, sizes: Sizes) -> Work | None:
        """Overlays of the images that are judged, and, without suspects, the search for a patch that acts as a trigger.

        Measured: 18,496 questions with 450 test images (digits), 24,812 with 1,000 (CIFAR-10).
        """
        images = min(self.max_images, sizes.non_members)
        if sizes.suspects:
            return Work(forwards=self.overlays * (0.4 * images + min(self.max_images, sizes.suspects)), seconds=0.1)
        return Work(forwards=13_300 + 0.575 * images * self.overlays, seconds=0.1)

    overlays: int = Field(default=20, ge=1, description="Images laid over each input, one after another; paper: 100.")
    overlay: Overlay = Field(default="blend", description="blend: mean of both images; sum: their sum, clipped.")

    def measurements(
        self, oracle: Oracle, images: Images, pool: torch.Tensor, context: Context, purpose: str
    ) -> Floats:
        """Bits (n,)."""
        generator = context.generator(f"strip: overlays of {purpose}")
        bits = []
        with context.progress.step(f"entropy of {purpose}", len(images)) as bar:
            for batch in batches(images, max(1, BATCH // self.overlays)):
                chosen = torch.randint(len(pool), (len(batch.images), self.overlays), generator=generator)
                mixed = overlaid(batch.images, pool[chosen], self.overlay)
                posteriors = oracle.ask(mixed.flatten(0, 1)).require_posteriors()
                bits.append(entropies(posteriors.reshape(*chosen.shape, -1)))
                bar.advance(len(chosen))
        return np.concatenate(bits)

    def questions(self, oracle: Oracle) -> int:
        return self.overlays
