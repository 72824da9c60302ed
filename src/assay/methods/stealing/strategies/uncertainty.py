"""Images that the surrogate is least sure of."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import log_softmax

from assay.methods.stealing.strategies.rounds import Rounds
from assay.methods.stealing.strategies.strategy import STRATEGIES
from assay.methods.stealing.thief import Thief


def entropies(logits: torch.Tensor) -> torch.Tensor:
    """The entropy of softmax(logits) in nats (n,); logits (n, classes)."""
    logs = log_softmax(logits.double(), dim=1)
    return -(logs.exp() * logs).sum(dim=1)


def margins(logits: torch.Tensor) -> torch.Tensor:
    """The greatest posterior less the second, in [0, 1], (n,); logits (n, classes), at least 2 classes."""
    best = logits.double().softmax(dim=1).topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


@STRATEGIES.add("entropy")
class Entropy(Rounds):
    """The images about which the surrogate's posteriors have the greatest entropy.

    ActiveThief's uncertainty strategy (Pal et al., AAAI 2020; Lewis and Gale, SIGIR 1994).
    """

    name: ClassVar[str] = "entropy"

    def choose(self, thief: Thief, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        return first(rows, -entropies(thief.logits(rows)), count)


@STRATEGIES.add("margin")
class Margin(Rounds):
    """The images whose two most probable classes are closest (Scheffer et al., IDA 2001)."""

    name: ClassVar[str] = "margin"

    def choose(self, thief: Thief, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        return first(rows, margins(thief.logits(rows)), count)


def first(rows: NDArray[np.int64], scores: torch.Tensor, count: int) -> NDArray[np.int64]:
    """The ``count`` rows of the smallest scores (n,), equals in the order given."""
    chosen: NDArray[np.int64] = rows[torch.argsort(scores, stable=True)[:count].numpy()]
    return chosen
