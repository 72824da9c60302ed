"""Rounding, levels, top-k, label only, noise and temperature."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from assay.access.policies.policy import POLICIES, Asked, Policy, Posteriors, normalised, one_hot

LEVEL_CUTS = (0.125, 0.3, 0.5, 0.7, 0.9)
"""Confidences at which `Levels` goes to its next level."""


@POLICIES.add("rounding")
class Rounding(Policy):
    """Round to some decimals and renormalise; a row that rounds to nothing keeps only its label."""

    name: ClassVar[str] = "rounding"
    keeps_argmax: ClassVar[bool] = False  # equals after rounding fall to the first
    decimals: int = Field(default=2, ge=0, le=8)

    @override
    def __call__(self, posteriors: Posteriors, asked: Asked) -> Posteriors:
        rounded = np.round(posteriors, self.decimals)
        empty = rounded.sum(axis=1) == 0
        rounded[empty] = one_hot(posteriors[empty])
        return normalised(rounded)


@POLICIES.add("levels")
class Levels(Policy):
    """The predicted class at one of six levels of confidence, 0, 0.2, ... 1; what remains spread evenly.

    MeBench's defence: a confidence below 0.125, 0.3, 0.5, 0.7 or 0.9 becomes 0, 0.2, 0.4, 0.6 or 0.8, any other 1.
    Where that level would put the predicted class below or beside the others (below 0.125, and with few classes above
    it too), the lowest level that does not is taken: there MeBench's label and posteriors would contradict each other.
    """

    name: ClassVar[str] = "levels"
    keeps_argmax: ClassVar[bool] = True

    @override
    def __call__(self, posteriors: Posteriors, asked: Asked) -> Posteriors:
        classes = posteriors.shape[1]
        step = np.searchsorted(LEVEL_CUTS, posteriors.max(axis=1), side="right")
        level = np.clip(step, len(LEVEL_CUTS) // classes + 1, len(LEVEL_CUTS))[:, None] / np.float32(len(LEVEL_CUTS))
        hot = one_hot(posteriors)
        answered: Posteriors = (hot * level + (1 - hot) * (1 - level) / max(classes - 1, 1)).astype(np.float32)
        return answered


@POLICIES.add("top")
class Top(Policy):
    """Only the k most probable classes, renormalised."""

    name: ClassVar[str] = "top"
    keeps_argmax: ClassVar[bool] = True
    k: int = Field(default=3, ge=1)

    @override
    def __call__(self, posteriors: Posteriors, asked: Asked) -> Posteriors:
        order = np.argsort(-posteriors, axis=1, kind="stable")[:, : self.k]
        kept = np.zeros_like(posteriors)
        np.put_along_axis(kept, order, np.take_along_axis(posteriors, order, axis=1), axis=1)
        return normalised(kept)


@POLICIES.add("label")
class Label(Policy):
    """Only the label, as a one-hot row."""

    name: ClassVar[str] = "label"
    keeps_argmax: ClassVar[bool] = True

    @override
    def __call__(self, posteriors: Posteriors, asked: Asked) -> Posteriors:
        return one_hot(posteriors)


@POLICIES.add("noise")
class Noise(Policy):
    """Gaussian noise on the posteriors, clipped at 0 and renormalised.

    The noise is a function of the image and ``seed``: asking again gives the same answer. Who asks about images that
    differ in the last bit of a pixel can still average it, at the price of so many questions.
    """

    name: ClassVar[str] = "noise"
    keeps_argmax: ClassVar[bool] = False
    scale: float = Field(default=0.1, ge=0.0, le=10.0)
    seed: int = Field(default=0, ge=0)

    @override
    def __call__(self, posteriors: Posteriors, asked: Asked) -> Posteriors:
        noisy = posteriors.copy()
        for row, key in zip(noisy, asked.keys, strict=True):
            row += self._noise(key.tobytes(), len(row))
        np.clip(noisy, 0.0, None, out=noisy)
        empty = noisy.sum(axis=1) == 0
        noisy[empty] = one_hot(posteriors[empty])
        return normalised(noisy)

    def imitated(self, seed: int) -> Policy:
        """With a key of the attacker's own."""
        return self.model_copy(update={"seed": seed})

    def _noise(self, key: bytes, classes: int) -> Posteriors:
        random = np.random.default_rng([self.seed, int.from_bytes(key, "little")])
        return random.normal(0.0, self.scale, classes).astype(np.float32)


@POLICIES.add("temperature")
class Temperature(Policy):
    """Softmax at a temperature: above 1 flatter, below 1 sharper."""

    name: ClassVar[str] = "temperature"
    keeps_argmax: ClassVar[bool] = True
    temperature: float = Field(default=2.0, gt=0.0, allow_inf_nan=False)

    @override
    def __call__(self, posteriors: Posteriors, asked: Asked) -> Posteriors:
        return _tempered(posteriors, self.temperature)

    @override
    def undone(self, posteriors: Posteriors) -> Posteriors:
        """Softmax at the inverse temperature; a class that was cut off stays cut off."""
        return _tempered(posteriors, 1 / self.temperature) * (posteriors > 0)


def _tempered(posteriors: Posteriors, temperature: float) -> Posteriors:
    logs = np.log(np.clip(posteriors.astype(np.float64), 1e-300, None)) / temperature
    return normalised(np.exp(logs - logs.max(axis=1, keepdims=True)).astype(np.float32))
