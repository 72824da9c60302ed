"""Adaptive misinformation: false answers to questions that the service's own users would not ask."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy.special import expit, softmax
from typing_extensions import override

from assay.access.policies.owner import OwnerPolicy, chunks
from assay.access.policies.policy import POLICIES, Asked, Posteriors, normalised

SMALLEST = 1e-9
"""An alpha below this leaves the answer as it is, and the owner's network unasked."""


@POLICIES.add("adaptive-misinformation")
class AdaptiveMisinformation(OwnerPolicy):
    """``(1 - alpha) f(x) + alpha g(x)`` with ``alpha = 1 / (1 + exp(nu (max f(x) - tau)))``.

    Kariyappa and Qureshi, Defending Against Model Stealing Attacks with Adaptive Misinformation, CVPR 2020. ``f`` is
    the model itself: its own confidence says whether an image is of the kind it knows (the paper trains ``f`` with
    outlier exposure for a better sign; here it stays as it is). ``g``, the owner's ``network``, is one trained to be
    wrong (`assay.methods.stealing.defences` trains it), or one that knows nothing (random weights).
    """

    name: ClassVar[str] = "adaptive-misinformation"
    keeps_argmax: ClassVar[bool] = False
    tau: float = Field(default=0.5, ge=0.0, le=1.0)
    nu: float = Field(default=1000.0, gt=0.0, allow_inf_nan=False)

    @override
    def __call__(self, posteriors: Posteriors, asked: Asked) -> Posteriors:
        alpha = expit(self.nu * (self.tau - posteriors.max(axis=1, keepdims=True).astype(np.float64)))
        misled = np.flatnonzero(alpha[:, 0] > SMALLEST)
        answered = posteriors.astype(np.float64)
        network = self.owned(posteriors.shape[1], asked.images)
        with torch.no_grad():
            logits = torch.cat([network(images) for images in chunks(asked.images[misled])])
        answered[misled] += alpha[misled] * (softmax(logits.double().numpy(), axis=1) - answered[misled])
        return normalised(answered)
