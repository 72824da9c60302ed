"""What a thief holds: unlabelled images to ask about, and the answers so far."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import Answers
from assay.data.images import ArrayImages, Images, Joined, Shape, Subset

MADE = -1
"""Stands for the pool row of an image that is not in the pool."""


class Unlabelled:
    """A set of images without its labels: all of them read 0."""

    def __init__(self, source: Images) -> None:
        self.source = source
        self.name = source.name
        self.shape: Shape = source.shape
        self.labels = np.zeros(len(source), np.int64)
        self.digest = source.digest

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The images of these rows."""
        return self.source.take(rows)


class Transfer(NamedTuple):
    """Images with the target's answers: a surrogate's training set (the transfer set of Knockoff Nets)."""

    images: Images
    answers: Answers


class Notes:
    """Answers in the order in which they came; of pool images only the row is kept, of others the pixels."""

    def __init__(self, pool: Images | None) -> None:
        self._pool = pool
        self._rows: list[NDArray[np.int64]] = []
        self._made: list[torch.Tensor] = []
        self._labels: list[NDArray[np.int64]] = []
        self._posteriors: list[NDArray[np.float32]] = []
        self._paid: list[NDArray[np.int64]] = []

    def add(
        self, rows: NDArray[np.int64] | None, images: torch.Tensor, answers: Answers, paid: NDArray[np.int64]
    ) -> None:
        """Note n answers. ``rows`` (n,) are in the pool, or None; ``paid`` (n,) are the charges up to each image."""
        if rows is None:
            self._made.append(images.detach().cpu().to(torch.float32))
            rows = np.full(len(images), MADE)
        self._rows.append(rows)
        self._labels.append(answers.labels)
        if answers.posteriors is not None:
            self._posteriors.append(answers.posteriors)
        self._paid.append(paid)

    def __len__(self) -> int:
        return sum(map(len, self._labels))

    def rows(self) -> NDArray[np.int64]:
        """The pool row of each answer (n,), `MADE` where there is none."""
        return np.concatenate([np.empty(0, np.int64), *self._rows])

    def labels(self) -> NDArray[np.int64]:
        """The label of each answer (n,)."""
        return np.concatenate([np.empty(0, np.int64), *self._labels])

    def within(self, budget: int) -> int:
        """How many answers, from the first on, a budget would have paid for."""
        return int(np.searchsorted(np.concatenate([np.empty(0, np.int64), *self._paid]), budget, side="right"))

    def transfer(self, start: int, stop: int) -> Transfer:
        """Answers ``start`` to ``stop`` - 1, at least one: the pool's by row, then the others as they came."""
        rows, labels = self.rows()[start:stop], np.concatenate(self._labels)[start:stop]
        order = np.argsort(np.where(rows == MADE, np.iinfo(np.int64).max, rows), kind="stable")
        posteriors = np.concatenate(self._posteriors)[start:stop][order] if self._posteriors else None
        known, made = rows[order][rows[order] != MADE], int(np.count_nonzero(rows == MADE))
        parts: list[Images] = []
        if len(known) and self._pool is not None:
            parts.append(Subset(self._pool, known))
        if made:
            first = int(np.count_nonzero(self.rows()[:start] == MADE))
            pixels = torch.cat(self._made)[first : first + made].numpy()
            parts.append(ArrayImages(pixels, np.zeros(made, np.int64), "images made by the thief"))
        images = parts[0] if len(parts) == 1 else Joined(*parts)
        return Transfer(images, Answers(labels[order], posteriors))
