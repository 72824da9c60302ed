"""A closer look at images that an attack left standing: runs what `masking` judges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import WhiteBox
from assay.methods.evasion.ascent import apgd
from assay.methods.evasion.averaging import Averaged, varying
from assay.methods.evasion.ball import Ball, diameter
from assay.methods.evasion.gradients import loss_gradient, predictions
from assay.methods.evasion.losses import dlr, margin
from assay.methods.evasion.masking import Bools, Checks
from assay.methods.evasion.square import SquareOptions, square

CHECKED = 32
"""Images that are looked at."""

STEPS = 20
"""Steps of APGD on them."""

QUESTIONS = 100
"""Questions of the Square Attack about each."""

Probe = Callable[[WhiteBox, torch.Tensor, torch.Tensor], torch.Tensor]
"""An attack of a size fixed beforehand: a network, images (n, c, h, w) and labels (n,), to images."""


def farthest(ball: Ball, images: torch.Tensor) -> Ball:
    """The ball that holds every image of the shape of ``images`` (n, c, h, w)."""
    return Ball(ball.norm, diameter(ball.norm, images[0].numel()))


def look_closer(
    box: WhiteBox,
    images: torch.Tensor,
    labels: torch.Tensor,
    ball: Ball,
    generator: torch.Generator,
    *,
    control: Probe | None = None,
    others: bool = True,
) -> Checks:
    """Look at k >= 1 images (k, c, h, w) that an attack inside ``ball`` left standing.

    ``control`` is the attack itself without a bound. With ``others`` APGD, and the Square Attack on what that leaves,
    are tried too.
    """
    unsteady = varying(box, images)
    followed = Averaged(box) if bool(unsteady.any()) else box
    vanished = (loss_gradient(followed, images, labels, margin) == 0).flatten(1).all(dim=1)
    unbounded = None if control is None else _fooled(box, control(box, images, labels), labels)
    stronger, black_box = None, None
    if others:
        stronger = _fooled(box, _apgd(followed, images, labels, ball, generator), labels)
        left = torch.from_numpy(np.flatnonzero(~stronger)).to(images.device)
        if len(left):
            black_box = _fooled(box, _square(box, images[left], labels[left], ball, generator), labels[left])
    return Checks(vanished.cpu().numpy(), unsteady.cpu().numpy(), unbounded, stronger, black_box)


def _fooled(box: WhiteBox, images: torch.Tensor, labels: torch.Tensor) -> Bools:
    found: NDArray[np.bool_] = predictions(box, images) != labels.cpu().numpy()
    return found


def _apgd(
    box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, ball: Ball, generator: torch.Generator
) -> torch.Tensor:
    return apgd(box, images, labels, ball, start=ball.inside(images, generator), steps=STEPS, loss=dlr)


def _square(
    box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, ball: Ball, generator: torch.Generator
) -> torch.Tensor:
    options = SquareOptions(norm=ball.norm, epsilon=ball.epsilon, max_queries=QUESTIONS)
    found = square(box.logits, images.cpu(), labels.cpu(), options, generator).adversarial
    return found.to(images.device)
