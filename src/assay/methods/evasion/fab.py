"""FAB: the nearest misclassified image, by steps onto the linearised boundary that lean back towards the image."""

from __future__ import annotations

import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.methods.about import About
from assay.methods.evasion.ball import AnyNorm, Ball
from assay.methods.evasion.gradients import gradient_and_logits
from assay.methods.evasion.minimum_norm import MinimumNorm
from assay.methods.evasion.projection import to_hyperplane
from assay.methods.method import method

LEANING = 0.1
"""The largest weight of the image itself in a step (the paper's alpha_max)."""

OVERSHOOT = 1.05
"""How far beyond the linearised boundary a step goes (eta)."""

BACKWARDS = 0.9
"""How far back towards the image a misclassified point is taken, as a share of its distance (beta)."""


def fab(
    box: WhiteBox,
    images: torch.Tensor,
    labels: torch.Tensor,
    targets: torch.Tensor,
    norm: AnyNorm,
    *,
    steps: int,
    enough: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest misclassified points found (n, c, h, w), and their distances (n,), infinity where there is none.

    Croce and Hein, "Minimally distorted adversarial examples with a fast adaptive boundary attack", ICML 2020, in the
    targeted version of AutoAttack: the boundary is the one between label and target (n,), any misclassification counts.
    An image for which a point at most ``enough`` away was found leaves. One gradient and one pass an image and step.
    """
    points, best = images.clone(), images.clone()
    least = torch.full((len(images),), torch.inf, device=images.device)
    pairs, ball = torch.stack((labels, targets), dim=1), Ball(norm, 0.0)
    left = torch.arange(len(images), device=images.device)
    for _ in range(steps):
        if not len(left):
            break
        here, centre = points[left], images[left]
        normals, logits = gradient_and_logits(box, here, pairs[left], _difference)
        toward, back = (_step(start, here, normals, _difference(logits, pairs[left]), norm) for start in (here, centre))
        lengths = [ball.sizes(step).clamp_min(1e-8) for step in (toward, back)]
        lean = _wide((lengths[0] / (lengths[0] + lengths[1])).clamp_max(LEANING))
        moved = ((here + OVERSHOOT * toward) * (1 - lean) + (centre + OVERSHOOT * back) * lean).clamp(0.0, 1.0)
        fooled = box.logits(moved).argmax(dim=1) != labels[left]
        distance = ball.sizes(moved - centre)
        nearer = fooled & (distance < least[left])
        best[left[nearer]], least[left[nearer]] = moved[nearer], distance[nearer]
        points[left] = torch.where(_wide(fooled), centre + BACKWARDS * (moved - centre), moved)
        left = left[least[left] > enough]
    return best, least


def _step(
    start: torch.Tensor, here: torch.Tensor, normals: torch.Tensor, difference: torch.Tensor, norm: AnyNorm
) -> torch.Tensor:
    """From ``start`` to where the difference of logits, taken to be linear around ``here``, is 0."""
    flat = normals.flatten(1)
    gaps = -difference - (flat * (start - here).flatten(1)).sum(dim=1)
    return to_hyperplane(start.flatten(1), flat, gaps, norm).view_as(start)


def _difference(logits: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Target's logit minus label's."""
    chosen = logits.gather(1, pairs)
    return chosen[:, 1] - chosen[:, 0]


def _wide(numbers: torch.Tensor) -> torch.Tensor:
    return numbers[:, None, None, None]


def likeliest(logits: torch.Tensor, labels: torch.Tensor, count: int) -> torch.Tensor:
    """The most probable classes other than the label (n, k), most probable first; k at most classes - 1."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.topk(min(count, logits.shape[1] - 1), dim=1).indices


@method
class Fab(MinimumNorm):
    """FAB towards the likeliest wrong classes, one after the other; the nearest point counts."""

    name = "evasion.fab"
    about = About(
        "FAB, white box",
        "Looks for the nearest misclassified image; the median distance, and accuracy against distance.",
        "Croce and Hein, Minimally distorted adversarial examples with a fast adaptive boundary attack, ICML 2020",
    )
    presets = {"standard": {"max_images": 100, "steps": 30, "targets": 3}, "full": {"max_images": 1000}}

    norm: AnyNorm = Field(  # type: ignore[assignment]
        default="l2", description="How a change is measured: linf (largest pixel), l2 (length) or l1 (sum)."
    )
    steps: int = Field(default=100, ge=1, le=10_000, description="Steps towards each target class.")
    targets: int = Field(default=9, ge=1, description="Target classes of an image, the likeliest wrong ones.")

    def attack(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """FAB-T from the image itself; it draws nothing at random."""
        nearest, least = images.clone(), torch.full((len(images),), torch.inf, device=images.device)
        for target in likeliest(box.logits(images), labels, self.targets).T:
            found, distance = fab(box, images, labels, target, self.norm, steps=self.steps)
            nearer = distance < least
            nearest[nearer], least[nearer] = found[nearer], distance[nearer]
        return nearest
