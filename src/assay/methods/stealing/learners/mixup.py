"""Images and answers mixed in pairs."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy, one_hot

from assay.data.images import Images
from assay.methods.stealing.learners.learner import LEARNERS, Learner
from assay.methods.stealing.learners.views import mix, mixed_logits
from assay.training import Loss, Recipe


@LEARNERS.add("mixup")
class Mixup(Learner):
    """Cross-entropy on mixtures x = l x_i + (1 - l) x_j with target y = l y_i + (1 - l) y_j, l from Beta(alpha, alpha).

    Zhang et al., mixup: Beyond Empirical Risk Minimization (ICLR 2018), section 2. Each image of a batch is mixed with
    another of the same batch; l is replaced by max(l, 1 - l), which changes no expectation, so that the accuracy of a
    mixture can be counted by its heavier part. Of texts, features are mixed. Targets are posteriors where they are
    answered.
    """

    name: ClassVar[str] = "mixup"
    mixes: ClassVar[bool] = True
    alpha: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)

    def loss(self, recipe: Recipe, unlabelled: Images | None) -> Loss:

        def mixed(
            module: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            partner, share = torch.randperm(len(images)).to(images.device), heavier(len(images), self.alpha, images)
            logits = mixed_logits(module, images, partner, share)
            rows = as_rows(targets, logits.shape[1])
            return cross_entropy(logits, mix(rows, rows[partner], share)), logits

        return mixed


def heavier(count: int, alpha: float, like: torch.Tensor) -> torch.Tensor:
    """max(l, 1 - l) (n,) of draws from Beta(alpha, alpha), by the global generator, on the device of ``like``."""
    drawn = torch.distributions.Beta(alpha, alpha).sample((count,))
    return torch.maximum(drawn, 1.0 - drawn).to(like.device)


def as_rows(targets: torch.Tensor, classes: int) -> torch.Tensor:
    """Posteriors (n, classes) as they are, labels (n,) as one-hot rows."""
    return targets if targets.ndim == 2 else one_hot(targets, classes).float()
