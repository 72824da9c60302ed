"""Input gradients as attacks use them, and the fast gradient step.

Goodfellow et al., "Explaining and harnessing adversarial examples", ICLR 2015, section 4.
"""

from __future__ import annotations

import torch

from assay.access import WhiteBox
from assay.base.errors import AccessError
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.losses import Loss, cross_entropy
from assay.methods.evasion.results import Labels

BATCH = 256
"""Images back-propagated at a time."""


def fgsm_step(images: torch.Tensor, gradient: torch.Tensor, ball: Ball) -> torch.Tensor:
    """X + epsilon d, clipped to [0, 1]; images and gradients of a loss to be raised, (n, c, h, w).

    The direction d is the gradient's sign, in L2 the unit gradient.
    """
    return (images + ball.epsilon * ball.steepest(gradient)).clamp(0.0, 1.0)


def loss_gradient(
    box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, loss: Loss = cross_entropy
) -> torch.Tensor:
    """Gradients (n, c, h, w) of each image's loss with its label (n,), by the image.

    Raises:
        AccessError: if a gradient is NaN or infinite.
    """
    return gradient_and_logits(box, images, labels, loss)[0]


def gradient_and_logits(
    box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, loss: Loss
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `loss_gradient`, and the logits (n, classes)."""
    wanted = labels.to(box.device)
    gradient, logits = box.gradient(images, lambda found: loss(found, wanted))
    if not torch.isfinite(gradient).all():
        raise AccessError("The network's gradients by its input are NaN or infinite; no attack can follow them.")
    return gradient, logits


def predictions(box: WhiteBox, images: torch.Tensor) -> Labels:
    """The network's labels (n,) of images."""
    labels: Labels = box.logits(images).argmax(dim=1).cpu().numpy()
    return labels
