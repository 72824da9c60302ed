"""Carrying out a strategy, and making copies of what it brought."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import DataError
from assay.methods.method import Context
from assay.methods.stealing.strategies import Strategy
from assay.methods.stealing.thief import OutOfQuestions, Thief
from assay.methods.stealing.transfer import Transfer
from assay.methods.stealing.workshop import Workshop
from assay.targets.module import Preprocessed
from assay.training import Log, predict


class Copy(NamedTuple):
    """A trained copy, how its training went (nothing where the strategy trains), and the images asked for it in all."""

    module: Preprocessed
    log: Log
    asked: int


def carry_out(strategy: Strategy, thief: Thief, *, exactly: bool) -> None:
    """Let a strategy spend the thief's budget.

    Raises:
        DataError: if nothing was asked, or something of the budget is left although ``exactly`` so much was wanted.
    """
    with suppress(OutOfQuestions):
        strategy.run(thief)
    if thief.remaining and (exactly or not thief.spent):
        raise DataError(
            f"The budget is {thief.budget + thief.held_out:,} images, and the strategy {strategy.name!r} found only "
            f"{thief.spent + thief.held_out:,} different ones to ask about."
        )


def copied(
    strategy: Strategy,
    thief: Thief,
    workshop: Workshop,
    checkpoints: Sequence[int],
    validation: Transfer | None,
) -> Iterator[Copy]:
    """A copy for each of the ascending budgets that lie below what was asked, and one for all of it.

    ``validation`` chooses the epoch, see `Workshop.fit`.
    """
    budgets = [budget - thief.held_out for budget in checkpoints]
    for spent in [*(budget for budget in budgets if 0 < budget < thief.spent), thief.spent]:
        log: Log = ()
        if strategy.trains_itself:
            module = thief.snapshots.get(spent, thief.surrogate)
        else:
            module = workshop.prepare()
            label = f"training the surrogate on {spent:,} answers"
            transfer = thief.notes.transfer(0, thief.notes.within(spent))
            log = workshop.fit(module, transfer, thief.pool, label=label, validation=validation)
        yield Copy(module, log, spent + thief.held_out)


def validation_hits(module: Preprocessed, validation: Transfer, context: Context) -> NDArray[np.bool_]:
    """Where a copy gives the answers that were held out (n,)."""
    labels = predict(module, validation.images, context.device).argmax(dim=1).numpy()
    hits: NDArray[np.bool_] = labels == validation.answers.labels
    return hits
