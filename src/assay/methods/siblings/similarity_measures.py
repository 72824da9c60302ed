"""How alike two networks are, as numbers of each image: answers, input gradients, features, and fooling one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from assay.access import WhiteBox
from assay.base.errors import DataError
from assay.base.intervals import Bounds, Floats
from assay.compression.quantisation import weighted
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.gradients import loss_gradient
from assay.methods.evasion.losses import margin
from assay.targets.loading.tflite_twin import Affine

BATCH = 128
"""Images back-propagated at a time."""

GROUPS = 20
"""Groups of images that the jackknife leaves out one after the other."""

Flags = NDArray[np.bool_]


def agreement(first: torch.Tensor, second: torch.Tensor) -> Flags:
    """Whether logits (n, classes) of two networks have the same largest class (n,)."""
    same: Flags = (first.argmax(dim=1) == second.argmax(dim=1)).numpy()
    return same


def divergence(first: torch.Tensor, second: torch.Tensor) -> Floats:
    """The KL divergence (n,) of the second network's posteriors from the first's, in nats, from logits (n, classes)."""
    logs = [logits.double().log_softmax(dim=1) for logits in (first, second)]
    found: Floats = (logs[0].exp() * (logs[0] - logs[1])).sum(dim=1).clamp_min(0.0).numpy()
    return found


def cosines(first: torch.Tensor, second: torch.Tensor) -> Floats:
    """Cosines (n,) of gradients (n, c, h, w) of two networks; 0 where one of them vanishes."""
    rows = [gradients.double().flatten(1) for gradients in (first, second)]
    lengths = torch.linalg.vector_norm(rows[0], dim=1) * torch.linalg.vector_norm(rows[1], dim=1)
    found: Floats = ((rows[0] * rows[1]).sum(dim=1) / lengths.clamp_min(1e-300)).clamp(-1.0, 1.0).numpy()
    return found


def linear_cka(first: torch.Tensor, second: torch.Tensor) -> float:
    """Linear centred kernel alignment in [0, 1] of features (n, d) and (n, e) of the same images.

    Kornblith, Norouzi, Lee and Hinton, "Similarity of neural network representations revisited", ICML 2019, equation
    5; by Gram matrices, so that n alone costs. 0 where the features of one network do not vary.
    """
    grams = [_centred_gram(features) for features in (first, second)]
    lengths = torch.linalg.matrix_norm(grams[0]) * torch.linalg.matrix_norm(grams[1])
    return float(((grams[0] * grams[1]).sum() / lengths.clamp_min(1e-300)).clamp(0.0, 1.0))


def cka_bounds(first: torch.Tensor, second: torch.Tensor, level: float = 0.95) -> Bounds:
    """The interval of `linear_cka` by the delete-a-group jackknife (Efron and Tibshirani, 1993, chapter 11).

    Resampling with replacement would count an image twice, and an image is perfectly aligned with itself.

    Raises:
        DataError: if there are fewer than `GROUPS` images.
    """
    if len(first) < GROUPS:
        raise DataError(f"{len(first)} images are too few for an interval of CKA; {GROUPS} are needed.")
    value = linear_cka(first, second)
    groups = torch.arange(len(first)) % GROUPS
    left = np.array([linear_cka(first[groups != group], second[groups != group]) for group in range(GROUPS)])
    error = float(np.sqrt((GROUPS - 1) / GROUPS * np.square(left - left.mean()).sum()))
    half = float(ndtri((1 + level) / 2)) * error
    return Bounds(max(0.0, value - half), min(1.0, value + half), level, "jackknife")


def penultimate(box: WhiteBox, images: torch.Tensor) -> torch.Tensor:
    """What the last layer with weights is given (n, d), for images float32 (n, c, h, w).

    Raises:
        DataError: if the network has no such layer.
    """
    # The twin of a TFLite file keeps its weights in layers of its own.
    inside = [layer for layer in box.module.modules() if isinstance(layer, Affine)] or weighted(box.module)
    seen: list[torch.Tensor] = []

    def watch(layer: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0].detach().flatten(1).cpu())

    hooks = [layer.register_forward_pre_hook(watch) for layer in inside]
    features = []
    for part in images.split(BATCH):  # type: ignore[no-untyped-call]
        seen.clear()
        box.logits(part)
        features.append(seen[-1])
    for hook in hooks:
        hook.remove()
    return torch.cat(features)


def margin_gradients(box: WhiteBox, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Gradients (n, c, h, w) of the best other logit minus that of the label (n,): what a query attack follows."""
    parts = [slice(start, start + BATCH) for start in range(0, len(images), BATCH)]
    return torch.cat([loss_gradient(box, images[part], labels[part], margin) for part in parts])


def ascend(box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, ball: Ball, steps: int = 10) -> torch.Tensor:
    """Images (n, c, h, w) after so many projected steps of 2.5 epsilon / steps up the margin (PGD without restarts)."""
    points = images
    for _ in range(steps):
        step = 2.5 * ball.epsilon / steps * ball.steepest(margin_gradients(box, points, labels))
        points = ball.project(points + step, images)
    return points


def _centred_gram(features: torch.Tensor) -> torch.Tensor:
    centred = features.double() - features.double().mean(dim=0)
    return centred @ centred.T
