"""Cross-entropy with the answers as they are, or with their labels alone."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from assay.access import Answers
from assay.data.images import Images
from assay.methods.stealing.learners.learner import LEARNERS, Learner
from assay.training import Loss, Recipe, plain_loss


@LEARNERS.add("soft")
class Soft(Learner):
    """Cross-entropy with posteriors: the mean of - sum over classes of p log q.

    Orekondy et al., Knockoff Nets (CVPR 2019), section 4.2.1, equation 1; it is KL(p || q) up to a constant.
    """

    name: ClassVar[str] = "soft"
    needs: ClassVar[Literal["label", "posteriors"]] = "posteriors"

    def loss(self, recipe: Recipe, unlabelled: Images | None) -> Loss:
        return plain_loss


@LEARNERS.add("hard")
class Hard(Learner):
    """Cross-entropy with the label that was answered, or the most probable one: the mean of - log q of that class."""

    name: ClassVar[str] = "hard"

    def loss(self, recipe: Recipe, unlabelled: Images | None) -> Loss:
        return plain_loss

    def targets(self, answers: Answers) -> torch.Tensor:
        """Labels int64 (n,)."""
        return torch.from_numpy(answers.labels)
