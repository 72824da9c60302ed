"""Auto-PGD in L1: steps along few pixels, projected onto the ball and the box at once, in balls that shrink."""

from __future__ import annotations

import math

import torch

from assay.access import WhiteBox
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.gradients import gradient_and_logits
from assay.methods.evasion.losses import Loss

STAGES = ((3.0, 0.3), (2.0, 0.3), (1.0, 0.4))
"""Balls as multiples of epsilon, and the share of the steps that each is given."""

SPARSER = 1.5
"""A step changes so many times fewer pixels than the best point so far, and step sizes shrink by as much."""

SMALLEST = 10.0
"""The first step size over the smallest."""

STILL = 0.95
"""If the best point's number of changed pixels fell below this share of what it was, the walk starts again from it."""

REVIEW = 0.04
"""The share of the steps after which step sizes are reviewed."""


def shrinking_apgd(
    box: WhiteBox,
    images: torch.Tensor,
    labels: torch.Tensor,
    ball: Ball,
    *,
    generator: torch.Generator,
    steps: int,
    loss: Loss,
    targets: torch.Tensor | None = None,
) -> torch.Tensor:
    """Images (n, c, h, w) after stages in balls of three times epsilon, twice, and epsilon itself.

    Croce and Hein, "Mind the box: l1-APGD for sparse adversarial attacks on image classifiers", ICML 2021, section 3.3.
    Each stage starts from the last one's point of highest loss, brought into the smaller ball. The first starts from
    normal noise.
    """
    counts = [math.ceil(share * steps) for _, share in STAGES[:-1]]
    counts.append(steps - sum(counts))
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    points = Ball(ball.norm, STAGES[0][0] * ball.epsilon).project(images + noise, images)
    for (factor, _), count in zip(STAGES, counts, strict=True):
        if count > 0:
            wider, last = Ball(ball.norm, factor * ball.epsilon), factor == STAGES[-1][0]
            start = wider.project(points, images)
            points = sparse_apgd(
                box, images, labels, wider, start=start, steps=count, loss=loss, targets=targets, leave=last
            )
    return ball.project(points, images)


def sparse_apgd(
    box: WhiteBox,
    images: torch.Tensor,
    labels: torch.Tensor,
    ball: Ball,
    *,
    start: torch.Tensor,
    steps: int,
    loss: Loss,
    targets: torch.Tensor | None = None,
    leave: bool = True,
) -> torch.Tensor:
    """Images (n, c, h, w) after so many steps from ``start``: the point of highest loss.

    The same paper, algorithm 1. With ``leave`` it is the first misclassified point where there is one, and such an
    image takes no more steps. Every other one costs ``steps`` + 1 gradients.
    """
    n, pixels = len(images), images[0].numel()
    goal = labels if targets is None else torch.stack((labels, targets), dim=1)
    points, best, slope = start.clone(), start.clone(), torch.zeros_like(images)
    most = torch.full((n,), -torch.inf, device=images.device)
    size = torch.full((n,), ball.epsilon, device=images.device)
    changed = _changed(start, images)
    share = changed / pixels / SPARSER
    left, every = torch.arange(n, device=images.device), max(int(REVIEW * steps), 1)
    for number in range(steps + 1):
        if not len(left):
            break
        gradients, logits = gradient_and_logits(box, points[left], goal[left], loss)
        losses = loss(logits, goal[left])
        fooled = (logits.argmax(dim=1) != labels[left]) & leave
        better = (losses > most[left]) | fooled
        best[left[better]], slope[left[better]] = points[left[better]], gradients[better]
        most[left] = torch.maximum(most[left], losses)
        left, gradients = left[~fooled], gradients[~fooled]
        here = points[left]
        if number and number % every == 0:
            now = _changed(best[left], images[left])
            sparser = now / changed[left].clamp_min(1.0) < STILL
            shrunk = (size[left] / SPARSER).clamp_min(ball.epsilon / SMALLEST)
            size[left] = torch.where(sparser, torch.full_like(shrunk, ball.epsilon), shrunk)
            changed[left], share[left] = now, now / pixels / SPARSER
            here[sparser], gradients[sparser] = best[left[sparser]], slope[left[sparser]]
        moved = here + size[left, None, None, None] * _along_few(gradients, share[left])
        points[left] = ball.project(moved, images[left])
    return best


def _changed(points: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """How many pixels of images (n, c, h, w) are not as they were (n,)."""
    return (points != images).flatten(1).sum(dim=1).float()


def _along_few(gradients: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Signs of the largest entries of gradients (n, c, h, w), a share (n,) of all, over their number."""
    flat = gradients.flatten(1)
    pixels = flat.shape[1]
    place = ((1 - share) * pixels).clamp(0, pixels - 1).long()
    least = flat.abs().sort(dim=1).values.gather(1, place[:, None])
    signs = torch.where(flat.abs() >= least, flat, 0.0).sign()
    return (signs / signs.abs().sum(dim=1, keepdim=True).clamp_min(1e-10)).view_as(gradients)
