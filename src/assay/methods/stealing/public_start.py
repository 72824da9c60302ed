"""A public network of the target's own task as a thief's start: which one, and what questions add to it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import Published
from assay.catalogue.curated import curated
from assay.data.images import Subset
from assay.methods.evasion.surrogates import accuracy, public_networks
from assay.methods.finding import Metric
from assay.methods.measures import percent, proportion, resampled
from assay.methods.method import Context
from assay.methods.stealing.results import Compared
from assay.methods.stealing.thief import OutOfQuestions, Thief
from assay.targets.module import Preprocessed
from assay.targets.target import Target
from assay.training import predict

PUBLIC = "public network"
"""What the roles of the networks begin with, for `Method.public_companions`."""

LEAST_ACCURACY = 0.6
"""Of a public network to start from: one that tells less apart is a poor substitute itself."""

MOST_TO_CHOOSE = 200
"""Questions at most by which the start is chosen."""

FIRST_SHARE = 0.65
"""Of the first image in a blend of two."""


class Start(NamedTuple):
    """A public network as it was downloaded: its catalogue id, architecture, and the share of answers it gives too."""

    name: str
    architecture: str
    agreed: float
    module: Preprocessed


class Before(NamedTuple):
    """What a start answers on n test images before it is trained: its ``name`` and its labels int64 (n,)."""

    name: str
    labels: NDArray[np.int64]


def candidates(target: Target, most: int) -> dict[str, str]:
    """Public networks of the target's data set, input and classes, by role; none for other targets than of images.

    Only those whose architecture is named, since a copy must be built again when it is loaded, and whose accuracy is
    at least `LEAST_ACCURACY`.
    """
    if target.modality != "image":
        return {}
    named = [
        entry.id
        for entry in public_networks(target, len(curated()))
        if entry.architecture is not None and accuracy(entry) >= LEAST_ACCURACY
    ]
    return {f"{PUBLIC} {number}": name for number, name in enumerate(named[:most], start=1)}


def chosen(companions: Mapping[str, Published], thief: Thief, questions: int, context: Context) -> Start | None:
    """The network that gives most answers about so many blends; None where none gives more than one class would.

    The blends are charged and taught like any question. On images of the pool, networks that were trained on them all
    give the true classes, and would be preferred for the accuracy that they show there.
    """
    boxes = [
        (box, box.module)
        for role, box in companions.items()
        if role.startswith(PUBLIC) and box.name in curated() and isinstance(box.module, Preprocessed)
    ]
    if not boxes or questions < 1 or thief.pool is None:
        return None
    images, labels = ask_blends(thief, questions)
    starts = []
    for box, module in boxes:
        same = box.logits(images).argmax(dim=1).cpu().numpy() == labels
        starts.append(Start(box.name, str(curated()[box.name].architecture), float(same.mean()), module))
    best = max(starts, key=lambda start: start.agreed)
    return None if best.agreed <= np.bincount(labels).max() / len(labels) else best


def ask_blends(thief: Thief, count: int) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Ask about blends of pairs drawn from the pool, at most what the budget pays for; images and labels (n,)."""
    pool, count = thief.require_pool(), max(0, min(count, thief.remaining))
    rows = torch.randint(len(pool), (2, count), generator=thief.generator(f"blends from {thief.spent}")).numpy()
    first, second = (pool.take(part) for part in rows)
    images = ((FIRST_SHARE * first + (1 - FIRST_SHARE) * second) * 255).round() / 255
    before = len(thief.notes)
    with suppress(OutOfQuestions):
        thief.ask_about(images)
    return images, thief.notes.labels()[before:]


def trainable(module: Preprocessed) -> Preprocessed:
    """A copy of a published network whose parameters can be trained."""
    own = copy.deepcopy(module)
    for parameter in own.parameters():
        parameter.requires_grad_(True)
    return own


def before(start: Start, test: Subset, device: torch.device) -> Before:
    """What the network answers as it was downloaded."""
    return Before(start.name, predict(start.module, test, device).argmax(dim=1).numpy().astype(np.int64))


def start_metrics(start: Before, last: Compared, seed: int) -> list[Metric]:
    """The start's agreement without any question, and by how much the questions raised it, paired by image."""
    untouched = start.labels == last.target_labels
    note = f"{start.name} as it was downloaded, of the same task; it was chosen by its agreement with answers."
    return [
        proportion("public_agreement", "Agreement of the public network before any training", untouched, note),
        resampled(
            "bought",
            "What the questions bought over the public network",
            lambda copied, downloaded: copied.mean(1) - downloaded.mean(1),
            last.same.astype(np.float64),
            untouched.astype(np.float64),
            seed=seed,
            note="Difference of the two agreements on the same images.",
        ),
    ]


def start_sentence(start: Before, last: Compared, asked: int) -> str:
    """What the thief started from and what its questions added, for the verdict."""
    untouched = float((start.labels == last.target_labels).mean())
    points = 100 * (float(last.same.mean()) - untouched)
    return (
        f"The thief started from {start.name}, a public network of the same task, which agrees on "
        f"{percent(untouched)} without a question: {asked:,} questions bought {points:+.1f} points."
    )
