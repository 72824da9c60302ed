"""Images that lie far from everything that was asked."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from assay.methods.stealing.strategies.rounds import Rounds
from assay.methods.stealing.strategies.strategy import STRATEGIES
from assay.methods.stealing.thief import Thief

ELEMENTS = 1 << 22
"""Distances held at a time."""


def greedy_k_center(points: torch.Tensor, centres: torch.Tensor, count: int) -> NDArray[np.int64]:
    """Positions (count,) of points picked one by one, each the farthest from all centres and picks so far.

    Points (n, d) and at least one centre (m, d); Euclidean distances; the first of equals. Time O(n (m + count) d),
    memory O(n). Sener and Savarese, Active learning for convolutional neural networks, ICLR 2018, Algorithm 1.
    """
    chunk = max(1, ELEMENTS // len(centres))
    nearest = torch.cat([torch.cdist(part, centres).amin(dim=1) for part in torch.split(points, chunk)])
    picked = []
    for _ in range(count):
        pick = int(nearest.argmax())
        picked.append(pick)
        torch.minimum(nearest, (points - points[pick]).norm(dim=1), out=nearest)
        nearest[pick] = -1.0
    return np.array(picked, np.int64)


@STRATEGIES.add("k-center")
class KCenter(Rounds):
    """Greedy k-center in the space of the surrogate's posteriors (ActiveThief: Pal et al., AAAI 2020)."""

    name: ClassVar[str] = "k-center"

    def choose(self, thief: Thief, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        return spread(thief, rows, count)


def spread(thief: Thief, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """``count`` of some rows, far in posteriors from each other and from what was asked."""
    points, centres = (thief.logits(part).double().softmax(dim=1) for part in (rows, thief.asked_rows))
    chosen: NDArray[np.int64] = rows[greedy_k_center(points, centres, count)]
    return chosen
