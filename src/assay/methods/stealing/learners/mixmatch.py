"""MixMatch: unlabelled images get guessed answers, and everything is mixed."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy, softmax

from assay.data.images import Images
from assay.methods.stealing.learners.kl import sharpened
from assay.methods.stealing.learners.learner import LEARNERS, Learner
from assay.methods.stealing.learners.mixup import as_rows, heavier
from assay.methods.stealing.learners.views import mix, mixed_logits, weakly_altered
from assay.training import Done, Recipe, SemiSupervised


@LEARNERS.add("mixmatch")
class MixMatch(Learner):
    """Berthelot et al., MixMatch: A Holistic Approach to Semi-Supervised Learning (NeurIPS 2019), Algorithm 1.

    For each labelled image x with answer p one unlabelled u is drawn. Of u, K copies u_1 to u_K are moved by the
    recipe's shift and flip, and share the guess q = sharpen(mean over k of f(u_k), T), where sharpen(q, T) is
    q^(1/T) / sum of q^(1/T) (equation 7). All x and u_k are mixed with partners from among themselves, with
    l' = max(l, 1 - l), l from Beta(alpha, alpha) (equations 8 to 11). Minimised is L_x + w lambda_u L_u (equations 2
    to 5): L_x is the cross-entropy of mixed answers, L_u the squared distance of mixed guesses from f, in mean over
    images and classes, and w rises linearly from 0 to 1 over ``ramp`` steps, 16 times 1,024 as in the authors' code:
    a training that is shorter never gets to the whole of ``lambda_u``, with which it would learn nothing. Answers are
    posteriors where there are any. The copy ends with averaged weights.

    One forward pass sees labelled and unlabelled images together, so that batch statistics are theirs jointly. Of
    texts, words are dropped and swapped, and features are mixed.
    """

    name: ClassVar[str] = "mixmatch"
    semi_supervised: ClassVar[bool] = True
    mixes: ClassVar[bool] = True
    ema: ClassVar[float] = 0.999
    lambda_u: float = Field(default=100.0, ge=0.0, allow_inf_nan=False)
    temperature: float = Field(default=0.5, gt=0.0, allow_inf_nan=False)
    alpha: float = Field(default=0.75, gt=0.0, allow_inf_nan=False)
    copies: int = Field(default=2, ge=1)
    ramp: int = Field(default=16_384, ge=0)

    def loss(self, recipe: Recipe, unlabelled: Images | None) -> SemiSupervised:
        if unlabelled is None:
            raise ValueError("mixmatch needs unlabelled images")

        def match(
            module: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor, others: torch.Tensor, done: Done
        ) -> tuple[torch.Tensor, torch.Tensor]:
            views = torch.cat([weakly_altered(module, others, recipe) for _ in range(self.copies)])
            with torch.no_grad():
                guesses = guess(module(views), self.copies, self.temperature)
            rows = torch.cat([as_rows(targets, guesses.shape[1]), guesses.repeat(self.copies, 1)])
            share = heavier(len(rows), self.alpha, images)
            order = torch.randperm(len(rows)).to(images.device)
            logits = mixed_logits(module, torch.cat([images, views]), order, share)
            wanted = mix(rows, rows[order], share)
            known, guessed = logits[: len(images)], logits[len(images) :]
            answered = cross_entropy(known, wanted[: len(images)])
            distance = (softmax(guessed, dim=1) - wanted[len(images) :]).square().mean()
            return answered + done.ramp(self.ramp) * self.lambda_u * distance, known

        return SemiSupervised(match, unlabelled)


def guess(logits: torch.Tensor, copies: int, temperature: float) -> torch.Tensor:
    """Sharpened mean posteriors (n, classes) of logits (copies x n, classes), copy by copy."""
    mean = softmax(logits.float(), dim=1).view(copies, -1, logits.shape[1]).mean(dim=0)
    return sharpened(mean, temperature)
