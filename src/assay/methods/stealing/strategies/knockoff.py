"""Knockoff Nets' adaptive strategy, with arms found without labels."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.cluster import MiniBatchKMeans
from torch.nn.functional import adaptive_avg_pool2d

from assay.access import Answers
from assay.base.intervals import Floats
from assay.data.images import Images
from assay.methods.stealing.bandit import GradientBandit, Rescaled
from assay.methods.stealing.strategies.rounds import drawn
from assay.methods.stealing.strategies.strategy import STRATEGIES, Strategy
from assay.methods.stealing.thief import Thief
from assay.targets.target import Modality

SIDE = 8
"""Images are averaged down to so many pixels a side before they are clustered."""

CLUSTERED = 5_000
"""Images that clusters are found on, at most; the others join the nearest."""

BATCH = 1_024


@STRATEGIES.add("knockoff")
class Knockoff(Strategy):
    """A gradient bandit over parts of the pool, rewarded for answers that are sure, diverse and unexpected.

    Orekondy et al., Knockoff Nets, CVPR 2019 (adaptive strategy). Certainty is the greatest posterior less the second;
    diversity the sum over classes of what the answer exceeds the mean of the recent ones by; loss the cross-entropy of
    the surrogate with the answer. Each is rescaled to [0, 1] over a running window, and the reward is their mean.

    There the arms are the public class names of the pool. A pool of our own has none that an attacker may see, so the
    arms are clusters of its images, by k-means on small averaged copies. Images are asked in batches: the bandit learns
    from every answer, the surrogate from all of a batch, together with the latest before it. Labels are taken as sure
    posteriors.
    """

    name: ClassVar[str] = "knockoff"
    modalities: ClassVar[tuple[Modality, ...]] = ("image",)

    arms: int = Field(default=20, ge=2, description="Clusters of the pool to choose between.")
    batch: int = Field(default=50, ge=1, description="Images asked between two updates of the surrogate.")
    replay: int = Field(default=500, ge=1, description="The latest answers that an update of the surrogate sees.")
    window: int = Field(default=25, ge=1, description="Answers that the baseline, means and scales reach back over.")
    certainty: bool = Field(default=True, description="Reward sure answers.")
    diversity: bool = Field(default=True, description="Reward answers unlike the recent ones.")
    loss: bool = Field(default=True, description="Reward answers that the surrogate does not expect.")

    def run(self, thief: Thief) -> None:
        generator = thief.generator("questions")
        free = drawn(thief.unasked, len(thief.unasked), generator)
        arms = clusters(thief.require_pool(), free, self.arms, int(torch.randint(2**31, (1,), generator=generator)))
        waiting = [free[arms == arm] for arm in range(self.arms)]
        bandit, rewards = GradientBandit(self.arms, self.window), _Rewards(self)
        while any(map(len, waiting)):
            bandit.open[:] = [len(rows) > 0 for rows in waiting]
            shares = torch.from_numpy(bandit.probabilities())
            chosen = torch.multinomial(shares, self.batch, replacement=True, generator=generator).tolist()
            asked = []
            for arm in sorted(set(chosen)):
                count = chosen.count(arm)
                asked += [(arm, row) for row in waiting[arm][:count]]
                waiting[arm] = waiting[arm][count:]
            rows = np.array([row for _, row in asked], np.int64)
            answers = thief.ask(rows)
            guesses = thief.logits(rows).double().log_softmax(dim=1).numpy()
            for (arm, _), answer, guess in zip(asked, _sure(answers, thief.num_classes), guesses, strict=True):
                bandit.learn(arm, rewards(answer, guess))
            thief.train(1, fresh=False, latest=self.replay)


class _Rewards:
    """The reward of each answer in turn."""

    def __init__(self, options: Knockoff) -> None:
        self._options = options
        self._scales = {kind: Rescaled(options.window) for kind in ("certainty", "diversity", "loss")}
        self._recent: deque[Floats] = deque(maxlen=options.window)

    def __call__(self, answer: Floats, guess: Floats) -> float:
        """In [0, 1], of posteriors (classes,) and the surrogate's log-posteriors (classes,)."""
        second, best = np.sort(answer)[-2:]
        mean = np.mean(self._recent, axis=0) if self._recent else answer
        self._recent.append(answer)
        values = {
            "certainty": float(best - second),
            "diversity": float(np.maximum(answer - mean, 0.0).sum()),
            "loss": float(-(answer * guess).sum()),
        }
        kept = [self._scales[kind](value) for kind, value in values.items() if getattr(self._options, kind)]
        return float(np.mean(kept)) if kept else 0.0


def clusters(pool: Images, rows: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """The cluster (n,), below ``count``, of each of n rows of a pool, by k-means on images averaged to few pixels."""
    sample = rows[:CLUSTERED]
    means = MiniBatchKMeans(min(count, len(sample)), random_state=seed, n_init=3, batch_size=BATCH)
    means.fit(_small(pool, sample))
    found = [means.predict(_small(pool, rows[start : start + BATCH])) for start in range(0, len(rows), BATCH)]
    return np.concatenate(found).astype(np.int64)


def _small(pool: Images, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    parts = [pool.take(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
    averaged = [adaptive_avg_pool2d(part, SIDE).flatten(1) for part in parts]
    small: NDArray[np.float32] = torch.cat(averaged).numpy()
    return small


def _sure(answers: Answers, classes: int) -> Floats:
    rows = np.eye(classes)[answers.labels] if answers.posteriors is None else answers.posteriors
    return np.asarray(rows, np.float64)
