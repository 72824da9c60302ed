"""Maximising angular deviation: the perturbation that turns a thief's gradient furthest away from the true one."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from assay.access.policies.owner import OwnerPolicy, chunks
from assay.access.policies.policy import POLICIES, Asked, Posteriors, normalised
from assay.base.errors import AccessError
from assay.base.intervals import Floats

MOST_CLASSES = 10
"""Above so many classes, the corners of the region that keeps the label are too many to be tried."""

CLOSEST = 0.99
"""How far towards such a corner an answer may go at most: at the corner itself, classes are equal."""

EQUAL = 6
"""Cosines that agree to so many decimals are equal: with two classes all are 1 or -1, up to rounding."""

HELD = 1 << 22
"""Numbers held at a time while corners are tried."""


@POLICIES.add("mad")
class Mad(OwnerPolicy):
    """Maximise ``|| G^T y' / |G^T y'| - G^T y / |G^T y| ||^2`` over posteriors y' within L1 distance epsilon of y.

    Orekondy, Schiele and Fritz, Prediction Poisoning: Towards Defenses Against DNN Model Stealing Attacks, ICLR 2020,
    equations 4 to 8. Row k of ``G`` is the gradient of the owner's surrogate's log-probability of class k by its last
    layer. For a linear layer over features h that gradient is ``(e_k - p) h^T``, with p the surrogate's posteriors, so
    that ``G^T y'`` points along ``y' - p`` whatever h is: the objective is twice 1 minus the cosine between
    ``y' - p`` and ``y - p``, and no gradient need be computed. As in the paper the surrogate has random weights unless
    the owner keeps another, and the corners of the region are tried. The paper takes the best corner and then goes
    towards it as far as epsilon allows; here every corner is first approached so far, and the best of these is taken,
    which is never worse.
    """

    name: ClassVar[str] = "mad"
    keeps_argmax: ClassVar[bool] = False
    epsilon: float = Field(default=0.5, ge=0.0, le=2.0)

    @override
    def __call__(self, posteriors: Posteriors, asked: Asked) -> Posteriors:
        network = self.owned(posteriors.shape[1], asked.images)
        with torch.no_grad():
            guesses = torch.cat([network(images).double().softmax(dim=1) for images in chunks(asked.images)])
        return normalised(self._deviated(posteriors, guesses.numpy()))

    def _deviated(self, posteriors: Posteriors, guesses: Floats) -> Floats:
        return deviated(posteriors, guesses, np.eye(posteriors.shape[1])[None], self.epsilon)


@POLICIES.add("mad-argmax")
class MadArgmax(Mad):
    """`Mad` among the posteriors that keep the label, for at most 10 classes.

    The paper's MAD-argmax: the corners of that region are the uniform distributions over the sets of classes that hold
    the predicted one, 2^(classes - 1) of them. None is approached by more than 99 %, so that the label stays alone.
    """

    name: ClassVar[str] = "mad-argmax"
    keeps_argmax: ClassVar[bool] = True

    def _deviated(self, posteriors: Posteriors, guesses: Floats) -> Floats:
        classes = posteriors.shape[1]
        if classes > MOST_CLASSES:
            raise AccessError(
                f"The policy mad-argmax is for at most {MOST_CLASSES} classes, and the service has {classes}; "
                "mad has no such limit."
            )
        corners = label_corners(classes)[posteriors.argmax(axis=1)]
        return deviated(posteriors, guesses, corners, self.epsilon, CLOSEST)


def deviated(
    posteriors: NDArray[np.float32], guesses: Floats, corners: Floats, epsilon: float, closest: float = 1.0
) -> Floats:
    """The posteriors (n, classes) between the given ones and a corner that turn furthest, as seen from the guesses.

    ``corners`` (n or 1, corners, classes); each is approached by at most ``closest`` of the way and L1 ``epsilon``.
    ``guesses`` (n, classes) are the p of `Mad`. Of equally good corners the first is taken.
    """
    y = posteriors.astype(np.float64)
    each = np.broadcast_to(corners, (len(y), *corners.shape[1:]))
    step = max(1, HELD // (corners.shape[1] * corners.shape[2]))
    parts = [
        _furthest(y[rows], guesses[rows], each[rows], epsilon, closest)
        for rows in (slice(start, start + step) for start in range(0, max(1, len(y)), step))
    ]
    return np.concatenate(parts)


def _furthest(y: Floats, p: Floats, corners: Floats, epsilon: float, closest: float) -> Floats:
    away = corners - y[:, None]
    distance = np.abs(away).sum(axis=2, keepdims=True)
    tried = y[:, None] + np.minimum(closest, epsilon / np.maximum(distance, 1e-12)) * away
    true, turned = (y - p)[:, None], tried - p[:, None]
    lengths = np.linalg.norm(true, axis=2) * np.linalg.norm(turned, axis=2)
    cosines = np.round((true * turned).sum(axis=2) / np.maximum(lengths, 1e-12), EQUAL)
    chosen: Floats = tried[np.arange(len(y)), cosines.argmin(axis=1)]
    return chosen


@lru_cache(maxsize=2)
def label_corners(classes: int) -> Floats:
    """For each class, the uniform distributions over the sets that hold it: (classes, 2^(classes - 1), classes)."""
    others = np.array(list(product((0.0, 1.0), repeat=classes - 1)))
    sets = np.stack([np.insert(others, label, 1.0, axis=1) for label in range(classes)])
    corners: Floats = sets / sets.sum(axis=2, keepdims=True)
    return corners
