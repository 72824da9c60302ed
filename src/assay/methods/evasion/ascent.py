"""Projected gradient ascent on a loss: PGD, and Auto-PGD, which finds its own step sizes."""

from __future__ import annotations

import torch

from assay.access import WhiteBox
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.gradients import gradient_and_logits
from assay.methods.evasion.losses import Loss

MOMENTUM = 0.75
"""Weight of the new step against the last one's direction (the paper's alpha)."""

RISING = 0.75
"""If the loss rose in a smaller share of the steps since the last checkpoint, the step size is halved (rho)."""


def pgd(
    box: WhiteBox,
    images: torch.Tensor,
    labels: torch.Tensor,
    ball: Ball,
    *,
    start: torch.Tensor,
    steps: int,
    step: float,
    loss: Loss,
) -> torch.Tensor:
    """Images (n, c, h, w) after so many steps of a length ``step`` (a share of epsilon) from ``start`` (n, c, h, w).

    Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018. An image that is
    misclassified stays where it is; every other one costs a gradient a step.
    """
    points = start.clone()
    left = torch.arange(len(images), device=images.device)
    for _ in range(steps):
        if not len(left):
            break
        gradients, logits = gradient_and_logits(box, points[left], labels[left], loss)
        standing = logits.argmax(dim=1) == labels[left]
        left = left[standing]
        moved = points[left] + step * ball.epsilon * ball.steepest(gradients[standing])
        points[left] = ball.project(moved, images[left])
    return points


def checkpoints(steps: int) -> list[int]:
    """Steps at which step sizes are reviewed: 0, then ever closer ones, below ``steps``."""
    last, now = 0, 22
    found = [0]
    while (step := -(-now * steps // 100)) < steps:
        found.append(step)
        last, now = now, now + max(now - last - 3, 6)
    return found


def apgd(
    box: WhiteBox,
    images: torch.Tensor,
    labels: torch.Tensor,
    ball: Ball,
    *,
    start: torch.Tensor,
    steps: int,
    loss: Loss,
    targets: torch.Tensor | None = None,
) -> torch.Tensor:
    """Images (n, c, h, w) after so many steps from ``start``: the first misclassified point, else the one of most loss.

    Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
    ICML 2020, algorithm 1. A misclassified image leaves; every other one costs ``steps`` + 1 gradients. With
    ``targets`` int64 (n,) the loss is one of pairs, and any misclassification counts all the same.
    """
    n, device = len(images), images.device
    goal = labels if targets is None else torch.stack((labels, targets), dim=1)
    points, last, best, slope = start.clone(), start.clone(), start.clone(), torch.zeros_like(images)
    # The start has no point before it: its loss counts as no rise, and whatever comes first as the best so far.
    most, previous = torch.full((n,), -torch.inf, device=device), torch.full((n,), torch.inf, device=device)
    size, rises = torch.full((n,), 2 * ball.epsilon, device=device), torch.zeros(n, device=device)
    size_then, most_then = size.clone(), most.clone()
    left, reviews = torch.arange(n, device=device), checkpoints(steps)
    for number in range(steps + 1):
        if not len(left):
            break
        gradients, logits = gradient_and_logits(box, points[left], goal[left], loss)
        losses = loss(logits, goal[left])
        fooled = logits.argmax(dim=1) != labels[left]
        # A misclassified point is kept even where its loss is not the highest: only the margin promises that.
        better = (losses > most[left]) | fooled
        best[left[better]], slope[left[better]] = points[left[better]], gradients[better]
        most[left] = torch.maximum(most[left], losses)
        rises[left] += losses > previous[left]
        previous[left] = losses
        left, gradients = left[~fooled], gradients[~fooled]
        here = points[left]
        if number in reviews[1:]:
            window = number - reviews[reviews.index(number) - 1]
            # The paper's two conditions. The second asks whether the size was left alone at the last review: just
            # after a halving, the walk from the best point on has had no chance yet to beat it.
            stuck = (size[left] == size_then[left]) & (most[left] == most_then[left])
            halve = (rises[left] < RISING * window) | stuck
            size_then[left], most_then[left], rises[left] = size[left], most[left], 0.0
            size[left[halve]] /= 2
            here[halve], gradients[halve] = best[left[halve]], slope[left[halve]]
        momentum = MOMENTUM if number else 1.0
        ahead = ball.project(here + size[left, None, None, None] * ball.steepest(gradients), images[left])
        moved = here + momentum * (ahead - here) + (1 - momentum) * (here - last[left])
        last[left], points[left] = here, ball.project(moved, images[left])
    return best
