"""The fast gradient sign step.

Goodfellow et al., "Explaining and harnessing adversarial examples", ICLR 2015, section 4.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from torch.nn.functional import cross_entropy

from assay.access import WhiteBox
from assay.base.errors import AccessError

Epsilon = Annotated[float, Field(gt=0.0, le=1.0)]
Epsilons = Annotated[
    tuple[Epsilon, ...], Field(min_length=1), AfterValidator(lambda epsilons: tuple(sorted(set(epsilons))))
]
"""Sizes of a perturbation, on the pixels' scale of [0, 1], ascending."""

BATCH = 256
"""Images back-propagated at a time."""


def fgsm_step(images: torch.Tensor, gradient: torch.Tensor, epsilon: float) -> torch.Tensor:
    """X + epsilon sign(gradient), clipped to [0, 1]; images and gradients of a loss to be raised, (n, c, h, w)."""
    return (images + epsilon * gradient.sign()).clamp(0.0, 1.0)


def noise_step(images: torch.Tensor, generator: torch.Generator, epsilon: float) -> torch.Tensor:
    """What `fgsm_step` is compared with: every pixel moved by epsilon in a random direction, clipped to [0, 1]."""
    directions = torch.randint(0, 2, images.shape, generator=generator) * 2 - 1
    return (images + epsilon * directions).clamp(0.0, 1.0)


def loss_gradient(box: WhiteBox, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Gradients (n, c, h, w) of each image's cross-entropy with its label (n,), by the image.

    Raises:
        AccessError: if a gradient is NaN or infinite.
    """
    wanted = labels.to(box.device)
    gradient, _ = box.gradient(images, lambda logits: cross_entropy(logits, wanted, reduction="none"))
    if not torch.isfinite(gradient).all():
        raise AccessError("The network's gradients by its input are NaN or infinite; no attack can follow them.")
    return gradient
