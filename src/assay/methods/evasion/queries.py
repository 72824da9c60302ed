"""Images under a query attack: what each has cost so far, how far it is, and a cap that nothing exceeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from assay.access import Oracle
from assay.data.images import Shape
from assay.methods.evasion.ball import Ball, Norm
from assay.methods.evasion.losses import LOSSES, QueryLoss

Ask = Callable[[torch.Tensor], torch.Tensor]
"""Images float32 (m, c, h, w) in [0, 1], to logits or log-probabilities (m, classes). Each image is one query."""


class QueryResult(NamedTuple):
    """Images after an attack, float32 (n, c, h, w); which are misclassified (n,); images asked about each (n,).

    ``adversarial`` holds the last point reached where the attack failed. ``queries`` counts the unchanged image too,
    and is never above the cap.
    """

    adversarial: torch.Tensor
    success: NDArray[np.bool_]
    queries: NDArray[np.int64]


class QueryOptions(BaseModel):
    """What all query attacks can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    norm: Norm = Field(default="l2", description="How a change is measured: linf (largest pixel) or l2 (length).")
    epsilon: float | None = Field(
        default=None,
        gt=0.0,
        allow_inf_nan=False,
        description="The largest change, pixels in [0, 1]; none: 8/255 (linf) or 0.5 (l2), grey images 0.1 or 1.5.",
    )
    max_queries: int = Field(default=1000, ge=1, description="The most images that are asked about one image.")
    loss: QueryLoss = Field(
        default="margin", description="What the attack raises; cross-entropy stalls on sure answers."
    )

    @model_validator(mode="after")
    def _within_range(self) -> QueryOptions:
        if self.norm == "linf" and self.epsilon is not None and self.epsilon > 1.0:
            raise ValueError("epsilon must not be above 1 in the linf norm, for pixels lie in [0, 1]")
        return self

    def ball(self, shape: Shape) -> Ball:
        """How far an image (c, h, w) may be changed.

        Raises:
            UsageError: if no two images are as far apart as epsilon.
        """
        return Ball.around(shape, self.norm, self.epsilon)


class QueryState:
    """A batch of images under attack.

    ``points`` float32 (n, c, h, w) are where each is now, ``losses`` (n,) and ``logits`` (n, classes) what was answered
    there, ``spent`` int64 (n,) the images asked about each, ``fooled`` bool (n,) those that are misclassified by now;
    where classes are aimed at (``targets``), those that are answered with them.
    """

    def __init__(
        self,
        ask: Ask,
        images: torch.Tensor,
        labels: torch.Tensor,
        options: QueryOptions,
        targets: torch.Tensor | None = None,
    ) -> None:
        """Asks about every image as it is: one query each. ``labels`` int64 (n,) are to be left, for ``targets``."""
        self.images, self.labels, self.targets, self.cap = images, labels, targets, options.max_queries
        self.ball = options.ball((images.shape[1], images.shape[2], images.shape[3]))
        self.points = images.clone()
        self.spent = torch.zeros(len(images), dtype=torch.int64)
        self._ask, self._loss = ask, LOSSES[options.loss]
        self.logits = self.answers(torch.arange(len(images)), images).clone()
        everyone = torch.arange(len(images))
        self.losses = self.loss(everyone, self.logits)
        self.fooled = self.reached(everyone, self.logits)

    def open(self, need: int = 1) -> torch.Tensor:
        """Rows that are not fooled yet and may still be asked ``need`` times."""
        return torch.nonzero(~self.fooled & (self.left() >= need))[:, 0]

    def loss(self, rows: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """What the attack raises (m,), of logits (m, classes) that rows (m,) got."""
        if self.targets is None:
            return self._loss(logits, self.labels[rows])
        return -self._loss(logits, self.targets[rows])

    def reached(self, rows: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Which rows (m,) are answered as the attacker wants, by these logits (m, classes)."""
        answers = logits.argmax(dim=1)
        return answers != self.labels[rows] if self.targets is None else answers == self.targets[rows]

    def left(self) -> torch.Tensor:
        """How often each image may still be asked about (n,)."""
        return self.cap - self.spent

    def answers(self, rows: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """Logits (m, classes) of points (m, c, h, w), clipped to [0, 1], charged to ``rows`` (m,), which may repeat.

        Raises:
            ValueError: if a row would be asked more often than the cap; nothing is asked then.
        """
        spent = self.spent.index_add(0, rows, torch.ones_like(rows))
        if int(spent.max()) > self.cap:
            raise ValueError("an attack asks more than its cap")
        self.spent = spent
        return self._ask(points.clamp(0.0, 1.0)).detach().float()

    def slopes(
        self, rows: torch.Tensor, directions: torch.Tensor, width: torch.Tensor, keep: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Finite differences (k, m) of the loss at ``rows`` (m,) along unit ``directions`` (k, m, c, h, w).

        ``width`` (m,) is the difference's. Of an image's questions ``keep`` are left over: what they do not allow is
        not asked, its slope is 0, and the second result (k, m) says so.
        """
        may = torch.arange(len(directions))[:, None] < (self.left()[rows] - keep)[None]
        slopes = torch.zeros(may.shape)
        if may.any():
            asked = rows.expand(may.shape)[may]
            points = self.points[rows] + width[:, None, None, None] * directions
            losses = self.loss(asked, self.answers(asked, points[may]))
            slopes[may] = (losses - self.losses[asked]) / width.expand(may.shape)[may]
        return slopes, may

    def tangent(self, rows: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
        """Directions (..., m, c, h, w) of rows (m,) without what the ball undoes; see `Ball.tangent`."""
        return self.ball.tangent(directions, self.points[rows], self.images[rows])

    def tried(self, rows: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The points brought into the balls around their images, and their logits and losses."""
        inside = self.ball.project(points, self.images[rows])
        logits = self.answers(rows, inside)
        return inside, logits, self.loss(rows, logits)

    def move(self, rows: torch.Tensor, points: torch.Tensor) -> None:
        """Move rows to points, whatever that does to the loss."""
        self._settle(rows, *self.tried(rows, points))

    def move_if_better(self, rows: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """Move those rows whose loss rises or that are misclassified then; says which (m,)."""
        inside, logits, losses = self.tried(rows, points)
        better = (losses > self.losses[rows]) | self.reached(rows, logits)
        self._settle(rows[better], inside[better], logits[better], losses[better])
        return better

    def _settle(self, rows: torch.Tensor, points: torch.Tensor, logits: torch.Tensor, losses: torch.Tensor) -> None:
        self.points[rows], self.logits[rows], self.losses[rows] = points, logits, losses
        self.fooled[rows] = self.reached(rows, logits)

    def result(self) -> QueryResult:
        """What has become of the images."""
        return QueryResult(self.points, self.fooled.numpy(), self.spent.numpy())


def scores_of(oracle: Oracle) -> Ask:
    """An oracle as attacks ask it: log-probabilities from its posteriors, those of 0 taken as the least float32.

    Raises:
        AccessError: (when asked) if the oracle answers with labels only.
    """

    def ask(images: torch.Tensor) -> torch.Tensor:
        posteriors = torch.from_numpy(oracle.ask(images).require_posteriors())
        return posteriors.clamp_min(torch.finfo(torch.float32).tiny).log()

    return ask
