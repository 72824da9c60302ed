"""RayS: the nearest misclassified image in Linf, from labels alone, among the corners of cubes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import Oracle
from assay.base.intervals import Floats
from assay.data.images import Subset
from assay.methods.about import About
from assay.methods.evasion.label_only import Ask, LabelOnly
from assay.methods.evasion.results import Labels
from assay.methods.method import Context, method

TOLERANCE = 1e-3
"""How exactly a radius is found, as an L2 length."""


class Rays:
    """Walks side by side: one question about each image a round.

    ``radius`` float64 (n,) is the smallest at which a corner was misclassified, infinity before there is one; ``spent``
    int64 (n,) the questions about each.
    """

    def __init__(self, ask: Ask, images: torch.Tensor, labels: Labels, cap: int, enough: float) -> None:
        """Images float32 (n, c, h, w), labels (n,) to be left; questions at most, and a radius that is small enough."""
        n, self.pixels = len(images), images[0].numel()
        self._ask, self.images, self.labels, self.cap, self.enough = ask, images, labels, cap, enough
        self.radius, self.spent = np.full(n, np.inf), np.zeros(n, np.int64)
        self._signs = torch.ones((n, self.pixels))
        self._trial = -self._signs  # level 0 has one block: all pixels
        self._low, self._high = np.zeros(n), np.ones(n)
        self._bisecting = np.zeros(n, np.bool_)
        self._level, self._block = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._tolerance = TOLERANCE / np.sqrt(self.pixels)

    def open(self) -> NDArray[np.int64]:
        """Rows whose walk goes on."""
        return np.flatnonzero((self.spent < self.cap) & (self.radius > self.enough))

    def rounds(self) -> Iterator[int]:
        """Ask once about every open image, until none is; how many that were, round by round.

        Chen and Gu, "RayS: a ray searching method for hard-label adversarial attack", KDD 2020, algorithms 1 and 3.
        Signs of one block of pixels are turned; where the corner at the best radius is still misclassified, the turn
        stays and a bisection finds the new radius. Blocks are halved when all of a level were tried. ``radius`` is
        told by a question about that very point, never by the bisection's lower end.
        """
        while len(rows := self.open()):
            size = np.where(self._bisecting, (self._low + self._high) / 2, np.minimum(self.radius, 1.0))[rows]
            step = torch.from_numpy(size).float()[:, None] * self._trial[rows]
            points = (self.images[rows] + step.view_as(self.images[rows])).clamp(0.0, 1.0)
            wrong = self._ask(points) != self.labels[rows]
            self.spent[rows] += 1
            self.radius[rows[wrong]] = np.minimum(self.radius[rows[wrong]], size[wrong])
            self._high[rows[wrong]] = size[wrong]
            self._low[rows[~wrong]] = size[~wrong]
            checked = ~self._bisecting[rows]
            begun = rows[checked & wrong]
            self._signs[begun], self._low[begun], self._bisecting[begun] = self._trial[begun], 0.0, True
            done = rows[self._bisecting[rows] & (self._high[rows] - self._low[rows] <= self._tolerance)]
            self._bisecting[done] = False
            self._turn(np.concatenate([rows[checked & ~wrong], done]))
            yield len(rows)

    def _turn(self, rows: NDArray[np.int64]) -> None:
        """The next block of these rows (m,) is turned."""
        for row in rows:
            width = self._width(row)
            self._block[row] += 1
            if self._block[row] * width >= self.pixels:
                # Blocks of single pixels cannot be halved: the last level is tried again.
                self._block[row], self._level[row] = 0, self._level[row] + (width > 1)
                width = self._width(row)
            trial, first = self._signs[row].clone(), self._block[row] * width
            trial[first : first + width] *= -1
            self._trial[row] = trial

    def _width(self, row: int) -> int:
        blocks: int = 2 ** int(self._level[row])
        return -(-self.pixels // blocks)


@method
class RayS(LabelOnly):
    """Searches the signs of a change whose pixels all move by the same; the change is measured in Linf.

    A walk ends where the change is small enough.
    """

    name = "evasion.rays"
    norm = "linf"
    about = About(
        "RayS, labels only",
        "Turns signs of ever smaller blocks of pixels, from labels alone; success within a size, the median distance.",
        "Chen and Gu, RayS: A Ray Searching Method for Hard-label Adversarial Attack, KDD 2020",
        threat_model="Black box, labels only. The attacker asks the service about changed images and sees nothing but "
        "the answered class.",
    )
    presets = {"standard": {}, "full": {"max_images": 200, "max_queries": 10_000}}

    def walk(
        self, oracle: Oracle, test: Subset, before: Labels, epsilon: float, context: Context
    ) -> tuple[list[tuple[float, Floats]], NDArray[np.int64]]:
        """The paper's search, the unchanged image being the first question."""
        rows = np.flatnonzero(before == test.labels)
        walk = Rays(
            lambda points: oracle.ask(points).labels, test.take(rows), test.labels[rows], self.max_queries - 1, epsilon
        )
        return self.recorded(walk, rows, len(test), context)
