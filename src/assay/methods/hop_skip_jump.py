"""HopSkipJump for many samples side by side, none of which asks more than its share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import Oracle
from assay.base.progress import Step

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BISECTIONS = 10
"""Questions that bring a point to the boundary: its distance is then known to one part in 1,024."""

HALVINGS = 6
"""The most times that a step along the normal is halved before it is given up."""

RESERVE = BISECTIONS + HALVINGS
"""Questions that are kept back for a step along a normal and the return to the boundary."""

FEWEST = 8
"""Directions without which a normal is not worth estimating."""

WIDTH = 0.01
"""How far from the boundary the labels around a point are asked for, in parts of its distance from the sample."""

ASKED = 256
"""Images of one request, where fewer samples than that are walking."""


class Walk:
    """Samples on their way to the nearest point of another label.

    Chen et al., HopSkipJumpAttack: A Query-Efficient Decision-Based Attack, S&P 2020, untargeted, L2. A step of the
    walk asks about all samples together. Each starts from the nearest other sample whose answer is not its label,
    which costs nothing; the best point so far is never given up. What differs from the paper: that start (there, random
    noise), bisection to one part in 1,024 of the distance, and a width of 1 % of it.

    ``spent`` int64 (n,) counts the questions about each sample, the first one included; it never exceeds the limit.
    """

    def __init__(
        self, oracle: Oracle, images: torch.Tensor, labels: Ints, predicted: Ints, limit: int, step: Step
    ) -> None:
        """Samples float32 (n, c, h, w), their true and their predicted labels (n,); ``limit`` questions for each."""
        self.spent = np.ones(len(images), dtype=np.int64)
        self._oracle, self._limit, self._step = oracle, limit, step
        self._images, self._labels = images, labels
        start, known = nearest_of_another_label(images, labels, predicted)
        wrong = predicted != labels
        self._points = images[start]
        self._points[wrong] = images[wrong]
        self._lost = ~wrong & ~known
        self._walking = np.flatnonzero(~wrong & known)

    def distances(self) -> Floats:
        """L2 distance of each sample to the nearest point found with another label, (n,), in [0, sqrt(pixels)].

        0 for samples that are classified wrongly. The largest possible where no sample at all gets another label.
        """
        found = _norms(self._points - self._images).numpy().astype(np.float64)
        found[self._lost] = np.sqrt(self._images[0].numel())
        return found

    def go(self, directions: int, generator: torch.Generator) -> Iterator[Floats]:
        """Walk until everybody's questions are spent; yields `distances` on reaching the boundary and after each step.

        The normal is estimated from ``directions`` labels in the first step, and sqrt(t) times as many in the t-th.
        """
        rows = self._walking
        self._to_boundary(rows, self._points[rows])
        yield self.distances()
        t = 1
        while len(rows := self._walking[self._limit - self.spent[self._walking] >= RESERVE + FEWEST]):
            normals = self._normals(rows, int(directions * np.sqrt(t)), generator)
            moved, points = self._along(rows, normals, 1 / np.sqrt(t))
            self._to_boundary(moved, points)
            yield self.distances()
            t += 1

    def _ask(self, rows: Ints, points: torch.Tensor, keep: int = 0) -> torch.Tensor:
        """Whether points float32 (k, rows, c, h, w) get another label than the sample's: 1 yes, -1 no, 0 not asked.

        Not asked is what would leave fewer than ``keep`` of the sample's questions.
        """
        left = self._limit - keep - self.spent[rows]
        may = torch.from_numpy(np.arange(len(points))[:, None] < left[None])
        signs = torch.zeros(may.shape)
        if may.any():
            labels = np.broadcast_to(self._labels[rows], may.shape)[may.numpy()]
            other = torch.from_numpy(self._oracle.ask(points[may]).labels != labels)
            signs[may] = 2.0 * other - 1.0
            self.spent[rows] += may.sum(dim=0).numpy()
            self._step.advance(int(may.sum()))
        return signs

    def _to_boundary(self, rows: Ints, points: torch.Tensor) -> None:
        """Bisect from points with another label towards the samples; keep what is nearer than before."""
        images = self._images[rows]
        low, high = torch.zeros(len(rows)), torch.ones(len(rows))
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            sign = self._ask(rows, _between(images, points, middle)[None])[0]
            low, high = torch.where(sign < 0, middle, low), torch.where(sign > 0, middle, high)
        found = _between(images, points, high)
        nearer = _norms(found - images) < _norms(self._points[rows] - images)
        self._points[rows[nearer.numpy()]] = found[nearer]

    def _normals(self, rows: Ints, directions: int, generator: torch.Generator) -> torch.Tensor:
        """Unit normals of the boundary at the points, towards the other label: the paper's estimate with a baseline."""
        points = self._points[rows]
        width = _wide(WIDTH * _norms(points - self._images[rows]).clamp_min(1e-6))
        weighted, plain = torch.zeros_like(points), torch.zeros_like(points)
        total, count = torch.zeros(len(rows)), torch.zeros(len(rows))
        together = max(1, ASKED // len(rows))
        for start in range(0, directions, together):
            shape = (min(together, directions - start), *points.shape)
            drawn = torch.randn(shape, generator=generator)
            drawn /= drawn.flatten(2).norm(dim=2).view(*shape[:2], 1, 1, 1)
            asked = (points + width * drawn).clamp(0.0, 1.0)
            drawn = (asked - points) / width
            sign = self._ask(rows, asked, keep=RESERVE)
            weighted += (_wide(sign) * drawn).sum(dim=0)
            plain += (_wide(sign.abs()) * drawn).sum(dim=0)
            total += sign.sum(dim=0)
            count += sign.abs().sum(dim=0)
        mean = total / count
        baseline = torch.where(mean.abs() < 1, mean, 0.0)
        normals = weighted - _wide(baseline) * plain
        return normals / _wide(_norms(normals).clamp_min(1e-12))

    def _along(self, rows: Ints, normals: torch.Tensor, share: float) -> tuple[Ints, torch.Tensor]:
        """The longest step along the normals, halved from ``share`` of the distance on, that still gets another label.

        Returns the samples for which there is one, and the points it leads to.
        """
        points = self._points[rows]
        length = share * _norms(points - self._images[rows])
        reached, open_ = points.clone(), np.arange(len(rows))
        for _ in range(HALVINGS):
            tried = (points[open_] + _wide(length[open_]) * normals[open_]).clamp(0.0, 1.0)
            other = (self._ask(rows[open_], tried[None])[0] > 0).numpy()
            reached[open_[other]] = tried[torch.from_numpy(other)]
            open_, length = open_[~other], length / 2
        done = np.setdiff1d(np.arange(len(rows)), open_)
        return rows[done], reached[done]


def nearest_of_another_label(
    images: torch.Tensor, labels: Ints, predicted: Ints
) -> tuple[torch.Tensor, NDArray[np.bool_]]:
    """For each sample the nearest one whose answer is not its label, and whether there is one."""
    flat = images.flatten(1)
    distances = torch.cdist(flat, flat)
    distances[torch.from_numpy(predicted[None] == labels[:, None])] = torch.inf
    least, start = distances.min(dim=1)
    return start, torch.isfinite(least).numpy()


def _between(start: torch.Tensor, end: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    return start + _wide(share) * (end - start)


def _norms(rows: torch.Tensor) -> torch.Tensor:
    norms: torch.Tensor = torch.linalg.vector_norm(rows.flatten(1), dim=1)
    return norms


def _wide(numbers: torch.Tensor) -> torch.Tensor:
    """One number a sample, shaped to multiply images."""
    return numbers[..., None, None, None]
