"""Answers to images at hand, given again: a recorded service as a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access.store import Keys, PosteriorStore, image_keys
from assay.base.digests import digest_arrays
from assay.base.errors import AccessError, DataError
from assay.data.images import Images, Shape
from assay.data.splits import Splits
from assay.targets.posteriors import posteriors_to_logits
from assay.targets.target import NO_SPLITS, Target

TAKEN = 1_024
"""Images read at a time."""


@dataclass(frozen=True)
class Tape:
    """Answers by the content of the images: ``keys`` (n,) as `image_keys` makes them, ``logits`` float32 (n, classes).

    ``shape`` is that of the images. An image that comes twice has the answer that was recorded first.
    """

    shape: Shape
    keys: Keys
    logits: NDArray[np.float32]

    @classmethod
    def of(cls, images: Images, posteriors: NDArray[Any]) -> Self:
        """Answers (n, classes) to images in the same order, such as `Recording.posteriors`.

        Raises:
            DataError: if they are not as many, or are not posteriors.
        """
        if posteriors.ndim != 2:
            raise DataError(f"{images.name}: posteriors must be (images, classes); these are {posteriors.shape}.")
        logits = posteriors_to_logits(posteriors, len(images), posteriors.shape[1], images.name)
        rows = np.arange(len(images))
        parts = [image_keys(images.take(rows[start : start + TAKEN])) for start in range(0, len(rows), TAKEN)]
        return cls(images.shape, np.concatenate(parts), logits.numpy())

    @classmethod
    def of_store(cls, store: PosteriorStore, shape: Shape) -> Self:
        """All that a target was ever asked, as its posterior store keeps it, to the last bit.

        Raises:
            DataError: if that is nothing.
        """
        keys = store.keys()
        if not len(keys):
            raise DataError(f"{store.path} holds no answers to replay.")
        return cls(shape, keys, store.get(keys))

    @classmethod
    def joined(cls, tapes: Sequence[Self]) -> Self:
        """Several tapes of one service as one, such as those of its pool and of its test images.

        Raises:
            DataError: if there is none, or shapes or classes differ.
        """
        if len({(tape.shape, tape.logits.shape[1]) for tape in tapes}) != 1:
            raise DataError("Recorded answers can be joined only if images and classes are alike, and there are some.")
        keys = np.concatenate([tape.keys for tape in tapes])
        return cls(tapes[0].shape, keys, np.concatenate([tape.logits for tape in tapes]))

    def target(self, splits: Splits = NO_SPLITS, *, name: str = "recorded service", **more: Any) -> Target:
        """A target that gives these answers, and refuses an image that was never recorded.

        Its ``recorded`` is False: new images may be asked about, as far as they were recorded. ``more`` goes to
        `Target` (``class_names``, ``serving``, ``facts``).

        Raises:
            DataError: if the splits do not fit.
        """
        known = {key.tobytes(): row for row, key in reversed(list(enumerate(self.keys)))}

        def answer(images: torch.Tensor) -> torch.Tensor:
            rows = [known.get(key.tobytes()) for key in image_keys(images)]
            found = [row for row in rows if row is not None]
            if len(found) < len(rows):
                raise AccessError(
                    f"{name} was never asked about {len(rows) - len(found):,} of these {len(rows):,} images; recorded "
                    "answers serve only what asks about recorded images."
                )
            return torch.from_numpy(self.logits[found])

        target = Target(
            name=name,
            weights_digest=digest_arrays(keys=self.keys.view(np.uint8), logits=self.logits),
            input_shape=self.shape,
            num_classes=self.logits.shape[1],
            logits=answer,
            **more,
        )
        return target.with_splits(splits)
