"""Gradient redirection: the perturbation that turns a thief's gradient furthest towards a chosen direction."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch.func import functional_call, jvp
from typing_extensions import override

from assay.access.policies.owner import OwnerPolicy, chunks
from assay.access.policies.policy import POLICIES, Asked, Posteriors, normalised


@POLICIES.add("gradient-redirection")
class GradientRedirection(OwnerPolicy):
    """GRAD^2: maximise ``<G^T y', z>`` over posteriors y' within L1 distance epsilon of y.

    Mazeika, Li and Forsyth, How to Steer Your Adversary: Targeted and Efficient Model Stealing Defenses with Gradient
    Redirection, ICML 2022. Row k of ``G`` is the gradient of the owner's surrogate's log-probability of class k by all
    of its weights, so that ``G^T y'`` is the step that learning y' takes; ``z`` is all ones, as in the paper's main
    results. Here the K numbers ``G z`` come from one pass in forward mode, without a gradient being stored. The owner's
    ``network`` is the surrogate: the paper's has been distilled for some epochs
    (`assay.methods.stealing.defences` does so); one with random weights redirects thieves at their start only.
    """

    name: ClassVar[str] = "gradient-redirection"
    keeps_argmax: ClassVar[bool] = False
    epsilon: float = Field(default=0.5, ge=0.0, le=2.0)

    @override
    def __call__(self, posteriors: Posteriors, asked: Asked) -> Posteriors:
        network = self.owned(posteriors.shape[1], asked.images)
        directions = [directional(network, images) for images in chunks(asked.images)]
        return normalised(redirected(posteriors, np.concatenate(directions), self.epsilon))


def redirected(posteriors: NDArray[np.float32], values: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """The posteriors y' (n, classes) within L1 ``epsilon`` of the given ones that maximise ``sum_k y'_k values_k``.

    Exact, in O(classes log classes) a row: the class of the largest value (the last of equals) is given epsilon / 2, or
    all that it lacks; it is taken from the classes of the smallest values first.
    """
    order = np.argsort(values, axis=1, kind="stable")
    ranked = np.take_along_axis(posteriors.astype(np.float64), order, axis=1)
    givers, best = ranked[:, :-1], ranked[:, -1:]
    wanted = np.minimum(epsilon / 2, givers.sum(axis=1, keepdims=True))
    taken = np.clip(wanted - (givers.cumsum(axis=1) - givers), 0.0, givers)
    moved = np.concatenate([givers - taken, best + taken.sum(axis=1, keepdims=True)], axis=1)
    answer = np.empty_like(moved)
    np.put_along_axis(answer, order, moved, axis=1)
    return answer


def directional(network: torch.nn.Module, images: torch.Tensor) -> NDArray[np.float64]:
    """``G z`` (n, classes): how fast each log-probability grows when all weights grow alike (z is all ones)."""
    weights = {name: parameter.detach() for name, parameter in network.named_parameters()}
    ones = {name: torch.ones_like(weight) for name, weight in weights.items()}

    def log_posteriors(at: dict[str, torch.Tensor]) -> torch.Tensor:
        logits: torch.Tensor = functional_call(network, at, (images,))
        return logits.log_softmax(dim=1)

    grown: torch.Tensor = jvp(log_posteriors, (weights,), (ones,))[1]
    return grown.double().numpy()
