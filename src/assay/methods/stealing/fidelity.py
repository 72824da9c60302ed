"""Adversarial fidelity: whether adversarial images made on a copy do to the target what they do to the copy.

Two papers measure two things under that name, so they have two names here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import Oracle
from assay.base.intervals import Floats
from assay.data.images import Subset
from assay.methods.finding import Metric
from assay.methods.measures import proportion
from assay.methods.method import Context
from assay.methods.stealing.perturb import gradient, sign_steps

PGD_EPSILON, PGD_STEP, PGD_STEPS = 4 / 255, 2 / 255, 7
"""Of the code of "Model Extraction Attacks Revisited" (AsiaCCS 2024)."""

FGSM_EPSILON = 8 / 255
"""Of the code of "Examining the Threat Landscape: Foundation Models and Model Stealing" (BMVC 2024)."""

UNASKED = -1
BATCH = 256

Labels = NDArray[np.int64]


class Fidelity(NamedTuple):
    """What copy and target answer to adversarial images, one each (n,), `UNASKED` where there is no such image.

    ``before`` is the target's answer to the image as it was.
    """

    before: Labels
    pgd_surrogate: Labels
    pgd_target: Labels
    fgsm_surrogate: Labels
    fgsm_target: Labels


def ask_adversarial(
    module: torch.nn.Module, test: Subset, before: Labels, evaluator: Oracle, count: int, context: Context
) -> Fidelity:
    """Attack the copy on at most ``count`` of n test images and ask the evaluator about what came of it.

    Projected gradient steps lead away from the copy's own label, from a random start; the target is asked about those
    that the copy then names otherwise. The gradient sign step leads away from the true label; the target is asked
    about all. ``before`` (n,) are the target's answers to the images.
    """
    answered = Fidelity(before, *(np.full(len(test), UNASKED) for _ in range(4)))
    generator = context.generator("stealing: adversarial images")
    chosen = np.sort(torch.randperm(len(test), generator=generator)[:count].numpy())
    device, module = context.device, module.to(context.device).eval()
    with context.progress.step("asking about adversarial images", len(chosen)) as bar:
        for start in range(0, len(chosen), BATCH):
            rows = chosen[start : start + BATCH]
            pixels = test.take(rows)
            noise = PGD_EPSILON * (2 * torch.rand(pixels.shape, generator=generator) - 1)
            images = pixels.to(device)
            own = _labels(module, images)
            moved = sign_steps(
                module,
                images,
                own,
                epsilon=PGD_EPSILON,
                step=PGD_STEP,
                steps=PGD_STEPS,
                start=images + noise.to(device),
            )
            after = _labels(module, moved)
            flipped = (after != own).cpu()
            if flipped.any():
                answered.pgd_surrogate[rows[flipped.numpy()]] = after.cpu()[flipped].numpy()
                answered.pgd_target[rows[flipped.numpy()]] = evaluator.ask(moved.cpu()[flipped]).labels
            slope, _ = gradient(module, images, torch.from_numpy(test.labels[rows]).to(device))
            stepped = (images + FGSM_EPSILON * slope.sign()).clamp(0.0, 1.0)
            answered.fgsm_surrogate[rows] = _labels(module, stepped).cpu().numpy()
            answered.fgsm_target[rows] = evaluator.ask(stepped.cpu()).labels
            bar.advance(len(rows))
    return answered


LABELS = {
    "adversarial_fidelity_flipped": "Images that flip the surrogate and flip the target too",
    "adversarial_fidelity_flipped_hard": (
        "Images that flip the surrogate and are named by the target as by the surrogate"
    ),
    "adversarial_agreement_fgsm": "Same answer of surrogate and target to gradient-sign images",
}


def fidelity_outcomes(answered: Fidelity) -> dict[str, Floats]:
    """Each image's part in either paper's adversarial fidelity (n,), NaN where the image does not count.

    ``adversarial_fidelity_flipped`` is the share of images that flip the copy which flip the target too, and its
    ``_hard`` variant the share of them that the target gives the copy's very answer. ``adversarial_agreement_fgsm`` is
    the share of all sign-step images to which both give the same answer, whether or not they fooled anyone.
    """
    flipped, stepped = answered.pgd_target != UNASKED, answered.fgsm_target != UNASKED
    hits = (
        (answered.pgd_target != answered.before, flipped),
        (answered.pgd_target == answered.pgd_surrogate, flipped),
        (answered.fgsm_target == answered.fgsm_surrogate, stepped),
    )
    return {name: np.where(counts, hit, np.nan) for name, (hit, counts) in zip(LABELS, hits, strict=True)}


def fidelity_metrics(answered: Fidelity) -> list[Metric]:
    """Both papers' adversarial fidelity, each as a share with its interval; see `fidelity_outcomes`."""
    metrics = []
    for name, column in fidelity_outcomes(answered).items():
        hits, label = column[~np.isnan(column)] == 1.0, LABELS[name]
        nothing = Metric(name=name, label=label, value=None, note="No image flipped the surrogate.")
        metrics.append(proportion(name, label, hits) if len(hits) else nothing)
    return metrics


@torch.no_grad()
def _labels(module: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    labels: torch.Tensor = module(images).argmax(dim=1)
    return labels
