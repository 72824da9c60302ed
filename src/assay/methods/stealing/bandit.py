"""The gradient bandit that chooses arms by what they brought."""

from __future__ import annotations

from collections import deque

import numpy as np

from assay.base.intervals import Floats


class Rescaled:
    """Values rescaled to [0, 1] between the least and the greatest of the last ``window`` of them."""

    def __init__(self, window: int) -> None:
        self._recent: deque[float] = deque(maxlen=window)

    def __call__(self, value: float) -> float:
        """The value's place, 0 where all are equal."""
        self._recent.append(value)
        low, high = min(self._recent), max(self._recent)
        return (value - low) / (high - low) if high > low else 0.0


class GradientBandit:
    """Preferences H over arms, followed by pi = softmax(H), moved by rewards against their recent mean.

    Sutton and Barto, Reinforcement learning, equation 2.12, as Knockoff Nets uses it: for the arm a that was drawn,
    H_a += (r - b) (1 - pi_a) / n_a, and H_c -= (r - b) pi_c / n_a for all others, where n_a is how often a was drawn
    so far and b the mean of the last ``window`` rewards before this one (r itself for the first).
    """

    def __init__(self, arms: int, window: int = 25) -> None:
        self.preferences: Floats = np.zeros(arms)
        self.drawn = np.zeros(arms, np.int64)
        self.open = np.ones(arms, np.bool_)
        self._rewards: deque[float] = deque(maxlen=window)

    def probabilities(self) -> Floats:
        """The shares pi (arms,): 0 for arms that are not ``open``, of which at least one is."""
        powers = np.where(self.open, np.exp(self.preferences - self.preferences[self.open].max()), 0.0)
        shares: Floats = powers / powers.sum()
        return shares

    def learn(self, arm: int, reward: float) -> None:
        """Move the preferences by what an arm brought."""
        advantage = reward - float(np.mean(self._rewards)) if self._rewards else 0.0
        self._rewards.append(reward)
        self.drawn[arm] += 1
        shares = self.probabilities()
        step = advantage / self.drawn[arm]
        self.preferences -= step * shares
        self.preferences[arm] += step
