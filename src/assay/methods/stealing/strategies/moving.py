"""The loop of strategies that ask about inputs of the pool which the surrogate is fooled by."""

from __future__ import annotations

from collections.abc import Callable

import torch

from assay.data.images import to_pixels
from assay.methods.stealing.thief import Thief


def ask_about_moved(
    thief: Thief,
    move: Callable[[torch.Tensor], torch.Tensor],
    random: torch.Generator,
    *,
    seed_share: float,
    rounds: int,
    epochs: int,
) -> None:
    """Random inputs first; then, round by round, inputs of the pool after ``move``, until nothing new comes out.

    The surrogate is trained on all answers before every round. ``move`` takes and gives inputs in [0, 1]. Originals
    are not asked about, unless the pool runs short.
    """
    rows = thief.unasked
    rows = rows[torch.randperm(len(rows), generator=random).numpy()]
    seeds = max(1, round(seed_share * thief.budget))
    thief.ask(rows[:seeds])
    size = max(1, -(-thief.remaining // rounds))
    before = 0
    while thief.spent > before:
        before = thief.spent
        thief.train(epochs)
        left = thief.unasked
        left = left if len(left) >= size else thief.asked_rows
        chosen = left[torch.randperm(len(left), generator=random).numpy()][:size]
        thief.reserve(chosen)
        thief.ask_about(move(to_pixels(thief.require_pool().take(chosen))))
