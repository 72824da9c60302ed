"""Perturbations by formula: reverse sigmoid."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy.special import expit, logit
from typing_extensions import override

from assay.access.policies.policy import POLICIES, Asked, Policy, Posteriors, normalised, one_hot

SMALLEST = 1e-9
"""Probabilities are taken to be at least this, and at most 1 less this, before their log-odds."""


@POLICIES.add("reverse-sigmoid")
class ReverseSigmoid(Policy):
    """``y - beta (sigmoid(gamma logit(y)) - 1/2)`` for each class, negative values taken as 0, renormalised.

    Lee et al., Defending Against Neural Network Model Stealing Attacks Using Deceptive Perturbations, 2019. With
    gamma below 1 the function falls near 0 and near 1 and rises between, so that several posteriors share an answer,
    and a class of next to no probability can overtake the predicted one where none is above one half.
    """

    name: ClassVar[str] = "reverse-sigmoid"
    keeps_argmax: ClassVar[bool] = False
    beta: float = Field(default=1.0, ge=0.0, le=2.0)
    gamma: float = Field(default=0.1, gt=0.0, le=10.0)

    @override
    def __call__(self, posteriors: Posteriors, asked: Asked) -> Posteriors:
        y = posteriors.astype(np.float64)
        log_odds = logit(np.clip(y, SMALLEST, 1 - SMALLEST))
        bent = np.clip(y - self.beta * (expit(self.gamma * log_odds) - 0.5), 0.0, None)
        empty = bent.sum(axis=1) == 0
        bent[empty] = one_hot(posteriors[empty])
        return normalised(bent)
