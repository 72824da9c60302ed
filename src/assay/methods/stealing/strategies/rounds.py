"""Pool-based active learning: ask, train, and choose what to ask next by what the surrogate makes of it."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.methods.stealing.strategies.strategy import Strategy
from assay.methods.stealing.thief import Thief


class Rounds(Strategy):
    """Random images first, then rounds in which a surrogate trained from scratch chooses.

    The loop of Pal et al., ActiveThief, AAAI 2020. There every unasked image is considered in each round;
    here a random part of them, so that a round costs no more on a large pool.
    """

    rounds: int = Field(default=10, ge=1, description="Rounds after the random ones.")
    seed_share: float = Field(default=0.1, gt=0.0, lt=1.0, description="Share of the budget asked at random first.")
    candidates: int = Field(default=10_000, ge=1, description="Unasked images considered in a round, at most.")
    epochs: int | None = Field(
        default=None, ge=1, description="Epochs of a surrogate that only chooses; none: as many as the last one's."
    )

    def run(self, thief: Thief) -> None:
        first = math.ceil(self.seed_share * thief.budget)
        each = math.ceil((thief.budget - first) / self.rounds)
        generator = thief.generator("questions")
        thief.ask(drawn(thief.unasked, first, generator))
        while len(thief.unasked):
            thief.train(self.epochs)
            rows = drawn(thief.unasked, self.candidates, generator)
            thief.ask(self.choose(thief, rows, min(each, len(rows))))

    def choose(self, thief: Thief, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """The ``count`` <= n of n unasked rows to ask about next, the most wanted first."""
        raise NotImplementedError


def drawn(rows: NDArray[np.int64], count: int, generator: torch.Generator) -> NDArray[np.int64]:
    """At most ``count`` rows in random order, without replacement."""
    chosen: NDArray[np.int64] = rows[torch.randperm(len(rows), generator=generator)[:count].numpy()]
    return chosen
