"""A target whose images carry their own answers, so that every number of an attack can be foretold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from assay.access import Oracle, PosteriorStore, Serving
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.method import Context
from assay.targets.target import Target

CLASSES = 5


def part(n: int, pull: float, seed: int, name: str) -> ArrayImages:
    """Images (n, 1, 2, CLASSES): the first row is a twelfth of the logits, the second is noise."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, n)
    logits = generator.gumbel(3, 1, (n, CLASSES))
    logits[np.arange(n), labels] += pull * generator.exponential(1, n)
    pixels = np.stack([np.clip(logits / 12, 0, 1), generator.random((n, CLASSES))], axis=1)
    return ArrayImages(pixels[:, None].astype(np.float32), labels, name)


def splits(members: int = 300, non_members: int = 200, pull: float = 2.5) -> Splits:
    return Splits(part(members, pull, 1, "members"), part(non_members, 1.0, 2, "non-members"))


def answer(images: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(softmax(12 * images[:, 0, 0].astype(np.float64), axis=1), np.float32)


class Counting:
    """Counts the images that the network really had to look at."""

    def __init__(self) -> None:
        self.forwards = 0

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        self.forwards += len(images)
        return answer(images)


def target(data: Splits, function: Callable[[NDArray[np.float32]], NDArray[Any]] = answer) -> Target:
    return Target.from_function(
        function, digest="carried", input_shape=(1, 2, CLASSES), num_classes=CLASSES, splits=data
    )


def oracle(target: Target, folder: Path, serving: Serving | None = None, budget: int | None = None) -> Oracle:
    store = PosteriorStore(folder / "store" / target.digest, target.num_classes)
    return Oracle(target, serving or Serving(), store, budget)


def context(folder: Path, seed: int = 0) -> Context:
    artefacts = folder / "artefacts"
    artefacts.mkdir(exist_ok=True)
    return Context(seed=seed, device=torch.device("cpu"), artefacts=artefacts, shared=artefacts)
