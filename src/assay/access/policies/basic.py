"""Rounding, top-k, label only, noise and temperature."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from assay.access.policies.policy import POLICIES, Policy, Posteriors, normalised
from assay.access.store import Keys


def one_hot(posteriors: Posteriors) -> Posteriors:
    """1 at each row's own argmax (the first of equals), 0 elsewhere."""
    hot = np.zeros_like(posteriors)
    hot[np.arange(len(posteriors)), posteriors.argmax(axis=1)] = 1.0
    return hot


@POLICIES.add("rounding")
class Rounding(Policy):
    """Round to some decimals and renormalise; a row that rounds to nothing keeps only its label."""

    name: ClassVar[str] = "rounding"
    keeps_argmax: ClassVar[bool] = False  # equals after rounding fall to the first
    decimals: int = Field(default=2, ge=0, le=8)

    def __call__(self, posteriors: Posteriors, keys: Keys) -> Posteriors:
        """See `Policy`."""
        rounded = np.round(posteriors, self.decimals)
        empty = rounded.sum(axis=1) == 0
        rounded[empty] = one_hot(posteriors[empty])
        return normalised(rounded)


@POLICIES.add("top")
class Top(Policy):
    """Only the k most probable classes, renormalised."""

    name: ClassVar[str] = "top"
    keeps_argmax: ClassVar[bool] = True
    k: int = Field(default=3, ge=1)

    def __call__(self, posteriors: Posteriors, keys: Keys) -> Posteriors:
        """See `Policy`."""
        order = np.argsort(-posteriors, axis=1, kind="stable")[:, : self.k]
        kept = np.zeros_like(posteriors)
        np.put_along_axis(kept, order, np.take_along_axis(posteriors, order, axis=1), axis=1)
        return normalised(kept)


@POLICIES.add("label")
class Label(Policy):
    """Only the label, as a one-hot row."""

    name: ClassVar[str] = "label"
    keeps_argmax: ClassVar[bool] = True

    def __call__(self, posteriors: Posteriors, keys: Keys) -> Posteriors:
        """See `Policy`."""
        return one_hot(posteriors)


@POLICIES.add("noise")
class Noise(Policy):
    """Gaussian noise on the posteriors, clipped at 0 and renormalised.

    The noise is a function of the image and ``seed``: asking again gives the same answer, so it cannot be averaged.
    """

    name: ClassVar[str] = "noise"
    keeps_argmax: ClassVar[bool] = False
    scale: float = Field(default=0.1, ge=0.0, le=10.0)
    seed: int = Field(default=0, ge=0)

    def __call__(self, posteriors: Posteriors, keys: Keys) -> Posteriors:
        """See `Policy`."""
        noisy = posteriors.copy()
        for row, key in zip(noisy, keys, strict=True):
            row += self._noise(key.tobytes(), len(row))
        np.clip(noisy, 0.0, None, out=noisy)
        empty = noisy.sum(axis=1) == 0
        noisy[empty] = one_hot(posteriors[empty])
        return normalised(noisy)

    def _noise(self, key: bytes, classes: int) -> Posteriors:
        random = np.random.default_rng([self.seed, int.from_bytes(key, "little")])
        return random.normal(0.0, self.scale, classes).astype(np.float32)


@POLICIES.add("temperature")
class Temperature(Policy):
    """Softmax at a temperature: above 1 flatter, below 1 sharper."""

    name: ClassVar[str] = "temperature"
    keeps_argmax: ClassVar[bool] = True
    temperature: float = Field(default=2.0, gt=0.0, allow_inf_nan=False)

    def __call__(self, posteriors: Posteriors, keys: Keys) -> Posteriors:
        """See `Policy`."""
        logs = np.log(np.clip(posteriors.astype(np.float64), 1e-300, None)) / self.temperature
        return normalised(np.exp(logs - logs.max(axis=1, keepdims=True)).astype(np.float32))
