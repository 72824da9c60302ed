"""When a search is content, how it weighs a trigger's size, and when it stops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import Floats

Flags = NDArray[np.bool_]
Arms = NDArray[np.int64]


@dataclass(frozen=True)
class Rule:
    """The constants of a search; the defaults are those of Neural Cleanse's reference implementation.

    Adam's ``learning_rate``, ``beta1`` and ``beta2``. A round succeeds if at least ``success`` of its stamped images
    get the label. The weight of the size is 0 until ``set_patience`` rounds in a row succeeded (``patience`` if None),
    then ``first_weight``; it is multiplied by ``multiplier`` after ``patience`` successes in a row, and divided by
    ``multiplier ** down_power`` after as many failures. A search stops when the best size was no longer below
    ``stop_ratio`` times the best before it for ``stop_patience`` rounds, and the weight has gone both up and down. With
    ``from_zero`` off the weight starts at ``first_weight``; with ``early_stop`` off no search stops.
    """

    learning_rate: float = 0.1
    beta1: float = 0.5
    beta2: float = 0.9
    success: float = 0.99
    first_weight: float = 1e-3
    from_zero: bool = True
    patience: int = 10
    set_patience: int | None = None
    multiplier: float = 1.5
    down_power: float = 1.5
    early_stop: bool = True
    stop_ratio: float = 0.99
    stop_patience: int = 20


class Weights:
    """The weight of the size for every arm, and what it is decided by; arrays (arms,).

    ``best`` is the smallest size of a successful round, infinite before the first.
    """

    def __init__(self, arms: int, rule: Rule) -> None:
        self.rule = rule
        self.weight = np.full(arms, 0.0 if rule.from_zero else rule.first_weight)
        self.best = np.full(arms, np.inf)
        self.stopped = np.zeros(arms, dtype=bool)
        self._setting, self._up, self._down, self._stale = (np.zeros(arms, dtype=np.int64) for _ in range(4))
        self._went_up, self._went_down = np.zeros(arms, dtype=bool), np.zeros(arms, dtype=bool)

    def update(self, arms: Arms, success: Floats, size: Floats) -> Flags:
        """Take in one round of some ``arms`` (k,): success rates and sizes (k,); say which sizes are a new best."""
        good = success >= self.rule.success
        before = self.best[arms]
        better = good & (size < before)
        self.best[arms] = np.where(better, size, before)
        self._judge(arms, before)
        self._weigh(arms[~self.stopped[arms]], good[~self.stopped[arms]])
        return better

    def _judge(self, arms: Arms, before: Floats) -> None:
        if not self.rule.early_stop:
            return
        best = self.best[arms]
        found = np.isfinite(best)
        with np.errstate(invalid="ignore"):
            unchanged = found & (best >= self.rule.stop_ratio * before)
        stale = np.where(unchanged, self._stale[arms] + 1, np.where(found, 0, self._stale[arms]))
        self._stale[arms] = stale
        enough = stale >= self.rule.stop_patience
        self.stopped[arms] = self._went_up[arms] & self._went_down[arms] & enough

    def _weigh(self, arms: Arms, good: Flags) -> None:
        rule = self.rule
        unset = (self.weight[arms] == 0) & good
        self._setting[arms] = np.where(unset, self._setting[arms] + 1, 0)
        patience = rule.patience if rule.set_patience is None else rule.set_patience
        fresh = arms[unset & (self._setting[arms] >= patience)]
        self.weight[fresh] = rule.first_weight
        for counter in (self._up, self._down):
            counter[fresh] = 0
        self._went_up[fresh] = self._went_down[fresh] = False
        self._up[arms] = np.where(good, self._up[arms] + 1, 0)
        self._down[arms] = np.where(good, 0, self._down[arms] + 1)
        raised = arms[self._up[arms] >= rule.patience]
        lowered = arms[self._down[arms] >= rule.patience]
        self._up[raised] = self._down[lowered] = 0
        self.weight[raised] *= rule.multiplier
        self.weight[lowered] /= rule.multiplier**rule.down_power
        self._went_up[raised] = True
        self._went_down[lowered] = True
