"""Pre-training on data at hand, for where public weights cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.digests import digest_json
from assay.base.errors import DataError
from assay.base.progress import Progress
from assay.data.images import Images, shape_text
from assay.methods.stealing.surrogate import Network, reduced, save_surrogate
from assay.methods.stealing.surrogates.prepare import prepare
from assay.training import Log, Recipe, fit

Pretext = Literal["supervised", "rotation"]
TURNS = 4


class Rotated:
    """Every image of a set turned by 0, 90, 180 and 270 degrees; the labels are the number of turns.

    Gidaris et al., Unsupervised Representation Learning by Predicting Image Rotations (ICLR 2018), section 3.1. A
    network can only tell the turns apart if it recognises what is in the image.
    """

    def __init__(self, source: Images) -> None:
        """Turn a set.

        Raises:
            DataError: if its images are not square.
        """
        if source.shape[1] != source.shape[2]:
            raise DataError(
                f"{source.name} has images of {shape_text(source.shape)}; only square ones can be told turned or not."
            )
        self.source = source
        self.name = f"{source.name}, turned"
        self.shape = source.shape
        self.labels = np.tile(np.arange(TURNS), len(source))
        self.digest = digest_json({"of": source.digest, "turned": TURNS})

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The images of these rows, turned."""
        images = self.source.take(rows // TURNS)
        for turns in range(1, TURNS):
            chosen = torch.from_numpy(rows % TURNS == turns)
            images[chosen] = torch.rot90(images[chosen], turns, dims=(2, 3))
        return images


def pretrain(
    architecture: str,
    images: Images,
    folder: Path,
    recipe: Recipe,
    *,
    kind: Pretext = "rotation",
    largest_side: int = 224,
    seed: int = 0,
    device: torch.device,
    progress: Progress | None = None,
) -> Log:
    """Train a network on images other than the target's, and save it into a folder that `prepare` can start from.

    ``supervised`` learns their labels; ``rotation`` needs none (see `Rotated`), and passes over every image four times
    an epoch. An interrupted pre-training goes on from its last epoch.

    Raises:
        DataError: if the images cannot be learned from: they are not square, or have fewer than two classes.
        UsageError: if the architecture is unknown.
        TrainingError: if training diverges.
    """
    lesson = Rotated(images) if kind == "rotation" else images
    num_classes = int(lesson.labels.max()) + 1
    if num_classes < 2:
        raise DataError(f"{images.name} has a single class; nothing can be learned from it.")
    size = reduced(images.shape, largest_side)
    module = prepare(architecture, num_classes=num_classes, shape=images.shape, seed=seed, size=size)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "pretraining.checkpoint"
    log = fit(
        module,
        lesson,
        torch.from_numpy(lesson.labels),
        recipe,
        seed=seed,
        device=device,
        progress=progress,
        label=f"pre-training ({kind})",
        checkpoint=checkpoint,
    )
    described = Network(architecture=architecture, num_classes=num_classes, input_shape=images.shape, size=size)
    save_surrogate(module, described, folder)
    checkpoint.unlink()
    return log
