"""RMIA as a method: shadow models, and each sample against a population of others."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.base.intervals import Floats
from assay.methods.about import About
from assay.methods.membership.calibration import in_turn
from assay.methods.membership.logits import softmax_confidence
from assay.methods.membership.rmia import Likelihood, offline, online, rmia, rmia_vote, tuned_a
from assay.methods.membership.shadow_attack import SHADOW_THREAT, ShadowAttack, Shadowed, ShadowScores
from assay.methods.membership.shadows import Bools, Values
from assay.methods.membership.signals import FLOOR
from assay.methods.method import Context, method


@method
class Rmia(ShadowAttack):
    """The robust attack: the share of a population that a sample's likelihood ratio exceeds by a factor gamma.

    Online and offline are reported from the same shadow models; the verdict rests on ``online`` as the option says. The
    population is drawn from the judged samples, without regard to membership. Of one query a score rises with the
    sample's own ratio, whatever factor and population are: these can make scores equal, and change no order. They matter
    where several queries vote. Of two queries both must say so for a
    pair to count, the authors' majority vote. The signal is the softmax of logits divided by a temperature: the
    authors' Taylor softmax needs logits, which an API does not give.
    """

    name = "membership.rmia"
    about = About(
        title="Robust membership inference (RMIA)",
        summary="Compares the target's likelihood ratio for a sample, against shadow models, with those of other "
        "samples.",
        paper="Zarifzadeh, Liu and Shokri, Low-Cost High-Power Membership Inference Attacks, ICML 2024",
        threat_model=SHADOW_THREAT,
    )

    online: bool = Field(
        default=True, description="Whether the verdict rests on models trained on the sample as well as on others."
    )
    gamma: float = Field(
        default=1.0,
        gt=0.0,
        description="The factor: 1 as in the authors' library. Of one query it changes no order of samples, and can "
        "only make scores equal: the paper's 2 does so for all scores of models that are sure of nearly everything.",
    )
    a: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="How well untrained models foretell trained ones, offline; the authors took 0.3 for CIFAR-10 and "
        "0.6 for CIFAR-100. None: the best against the first shadow model, as the authors' library tunes it.",
    )
    temperature: float = Field(
        default=2.0, gt=0.0, description="What logits are divided by; the authors took 2, and 1 for CIFAR-100."
    )
    population: int = Field(default=10_000, ge=1, description="Samples that each sample is compared with, at most.")

    def scored(self, known: Shadowed, context: Context) -> ShadowScores:
        """See `ShadowAttack.scored`."""
        target, shadows = (np.maximum(values, FLOOR) for values in known.values(self._signal))
        order = torch.randperm(len(target), generator=context.generator("membership.rmia: population")).numpy()
        others = np.sort(order[: self.population])
        a = self.a
        if a is None:
            a = _tuned(shadows.mean(axis=2), known.inside, others, self.gamma)
            context.progress.say(f"RMIA offline: a = {a:g} is best against the first shadow model.")
        variants = {
            "rmia_online": partial(_dominance, others=others, gamma=self.gamma, a=None),
            "rmia_offline": partial(_dominance, others=others, gamma=self.gamma, a=a),
        }
        deciding = "rmia_online" if self.online else "rmia_offline"
        scores = {name: score(target, shadows, known.inside) for name, score in variants.items()}
        calibrating = in_turn(variants[deciding], shadows, known.inside)
        return ShadowScores(known, scores, deciding, (calibrating, known.inside))

    def _signal(self, logits: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> Floats:
        return softmax_confidence(logits, labels, self.temperature)


def _dominance(
    target: Values, shadows: Values, inside: Bools, *, others: NDArray[np.int64], gamma: float, a: float | None
) -> Floats:
    everybody = online(target, shadows, inside) if a is None else offline(target, shadows, inside, a)
    if target.shape[1] == 1:
        everybody = Likelihood(*(part[:, 0] for part in everybody))
    compare = rmia if everybody.marginal.ndim == 1 else rmia_vote
    return compare(everybody, Likelihood(*(part[others] for part in everybody)), gamma)


def _tuned(shadows: Floats, inside: Bools, others: NDArray[np.int64], gamma: float) -> float:
    first, rest, memberships = shadows[0], shadows[1:], inside[1:]
    z = (first[others], rest[:, others], memberships[:, others])
    return tuned_a((first, rest, memberships), z, inside[0], gamma)
