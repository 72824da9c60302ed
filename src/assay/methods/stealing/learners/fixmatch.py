"""FixMatch: what the network is sure of in an image must hold when the image is distorted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy, softmax

from assay.base.vision import import_torchvision
from assay.data.images import Images
from assay.methods.stealing.learners.learner import LEARNERS, Learner
from assay.methods.stealing.learners.views import weakly_altered
from assay.targets.text.network import text_network
from assay.training import Done, Recipe, SemiSupervised
from assay.training.augment import in_groups
from assay.training.words import STRONG, altered


@LEARNERS.add("fixmatch")
class FixMatch(Learner):
    """Sohn et al., FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence (NeurIPS 2020).

    Minimised is L_s + lambda_u L_u (section 2.2, equations 3 and 4): L_s is the cross-entropy of answered images; for
    each of those, ``mu`` unlabelled images u are drawn, q = f(a(u)) is what the network says of u moved by the recipe's
    shift and flip, and L_u is the mean of [max q >= threshold] (- log f(A(u)) of class argmax q), where A also distorts
    by RandAugment and a grey patch (section 2.3). Answers are posteriors where there are any. All images pass through
    the network together, but for a(u), through which no gradient flows. The first ``start`` of all steps see answered
    images alone: a network that is sure of nothing learns nothing from the others, and such steps are several times
    as fast. The copy ends with averaged weights. Of texts a drops and swaps a tenth of the words, and A three tenths.
    """

    name: ClassVar[str] = "fixmatch"
    semi_supervised: ClassVar[bool] = True
    mixes: ClassVar[bool] = True
    ema: ClassVar[float] = 0.999
    threshold: float = Field(default=0.95, ge=0.0, le=1.0)
    lambda_u: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    mu: int = Field(default=3, ge=1)
    operations: int = Field(default=2, ge=0)
    magnitude: int = Field(default=10, ge=0, le=30)
    start: float = Field(default=0.5, ge=0.0, lt=1.0)

    def loss(self, recipe: Recipe, unlabelled: Images | None) -> SemiSupervised:
        if unlabelled is None:
            raise ValueError("fixmatch needs unlabelled images")
        distort = strong(self.operations, self.magnitude)

        def match(
            module: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor, others: torch.Tensor, done: Done
        ) -> tuple[torch.Tensor, torch.Tensor]:
            if done.share < self.start:
                known = module(images)
                return cross_entropy(known, targets), known
            weak = weakly_altered(module, others, recipe)
            reads_texts = text_network(module) is not None
            distorted = altered(others, STRONG) if reads_texts else distort(weakly_altered(module, others, recipe))
            with torch.no_grad():
                sure = module(weak)
            known, tried = torch.split(module(torch.cat([images, distorted])), [len(images), len(others)])
            return cross_entropy(known, targets) + self.lambda_u * consistency(sure, tried, self.threshold), known

        return SemiSupervised(match, unlabelled, self.mu)


def consistency(weak: torch.Tensor, distorted: torch.Tensor, threshold: float) -> torch.Tensor:
    """Cross-entropy of logits (n, classes) with the labels of others where those are sure, summed, divided by n.

    No gradient flows through ``weak``.
    """
    sureness, labels = softmax(weak.detach().float(), dim=1).max(dim=1)
    return (cross_entropy(distorted, labels, reduction="none") * (sureness >= threshold)).mean()


def strong(operations: int, magnitude: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """RandAugment (of magnitude 0 to 30), then a grey square of a quarter of the area at most, by groups of images.

    It takes and gives images (n, c, h, w) in [0, 1]; what it draws comes from the global generator.
    """
    import_torchvision()
    from torchvision.transforms import v2

    randomly: Any = v2.Compose(
        [
            v2.RandAugment(operations, magnitude),
            v2.RandomErasing(p=1.0, scale=(0.0, 0.25), ratio=(1.0, 1.0), value=0.5),
        ]
    )
    return in_groups(randomly)
