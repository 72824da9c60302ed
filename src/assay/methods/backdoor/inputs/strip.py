"""STRIP: low entropy under overlays."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from assay.access import Oracle
from assay.data.images import Images, batches
from assay.methods.backdoor.inputs.calibration import Floats
from assay.methods.backdoor.inputs.detector import InputDetector
from assay.methods.backdoor.inputs.entropy import Overlay, entropies, overlaid
from assay.methods.method import Context, Need, Preset, method

BATCH = 256
"""Overlaid images asked about at a time."""


@method
class Strip(InputDetector):
    """STRIP: an input whose prediction does not change when other images are laid over it carries a trigger.

    Measured is the entropy of the predictions over classes, averaged over the overlays. The authors set the threshold
    by a normal distribution fitted to clean entropies; here it is their empirical quantile.
    """

    name: ClassVar[str] = "backdoor.strip"
    version: ClassVar[int] = 3
    needs: ClassVar[Need] = "posteriors"
    title: ClassVar[str] = "STRIP (entropy under overlays)"
    summary: ClassVar[str] = (
        "Lays other images over each suspicious one and flags those whose predictions stay certain; without suspicious "
        "images, tries generic patches as triggers."
    )
    paper: ClassVar[str] = (
        "Gao et al., STRIP: a defence against trojan attacks on deep neural networks, ACSAC 2019; "
        "the search among generic patches is Assay's own."
    )
    short: ClassVar[str] = "strip"
    detector: ClassVar[str] = "STRIP"
    measured: ClassVar[str] = "Entropy under overlays (bits)"
    sign: ClassVar[int] = -1
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {
        "quick": {},
        "standard": {"overlays": 64, "max_images": 2000},
        "full": {"overlays": 100, "max_images": 5000},
    }

    overlays: int = Field(default=20, ge=1, description="Images laid over each input, one after another; paper: 100.")
    overlay: Overlay = Field(default="blend", description="blend: mean of both images; sum: their sum, clipped.")

    def measure(self, oracle: Oracle, images: Images, pool: torch.Tensor, context: Context, purpose: str) -> Floats:
        """See `InputDetector.measure`: bits (n,)."""
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
        """See `InputDetector.questions`."""
        return self.overlays
