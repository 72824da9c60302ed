"""Distillation at a temperature."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch.nn.functional import kl_div, log_softmax

from assay.data.images import Images
from assay.methods.stealing.learners.learner import LEARNERS, Learner
from assay.training import Loss, Recipe


@LEARNERS.add("kl")
class Distillation(Learner):
    """The mean of T^2 KL(p_T || q_T), where both are softened: q_T = softmax(z / T), p_T = p^(1/T) / sum of p^(1/T).

    Hinton et al., Distilling the Knowledge in a Neural Network (arXiv 1503.02531), section 2; as posteriors are
    answered and not logits, theirs are softened by the equal power of p. T^2 keeps gradients of one size.
    """

    name: ClassVar[str] = "kl"
    needs: ClassVar[Literal["label", "posteriors"]] = "posteriors"
    temperature: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)

    def loss(self, recipe: Recipe, unlabelled: Images | None) -> Loss:
        heat = self.temperature

        def distil(
            module: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            logits = module(images)
            taught = sharpened(targets, heat)
            return heat**2 * kl_div(log_softmax(logits / heat, dim=1), taught, reduction="batchmean"), logits

        return distil


def sharpened(posteriors: torch.Tensor, temperature: float) -> torch.Tensor:
    """Rows p^(1/T), divided by their sums: sharper for T < 1, softer for T > 1. Classes of probability 0 keep it."""
    powers = (posteriors / posteriors.amax(dim=1, keepdim=True)) ** (1.0 / temperature)
    return powers / powers.sum(dim=1, keepdim=True)
