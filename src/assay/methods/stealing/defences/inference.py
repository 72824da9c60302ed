"""Dataset inference: whether a model treats the owner's training images unlike others that he has."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import hmean, ttest_ind
from torch import nn

from assay.base.errors import DataError
from assay.base.intervals import Floats
from assay.methods.method import Context
from assay.training import Recipe, fit

WIDTH = 100
RECIPE = Recipe(
    epochs=1000, batch_size=1 << 20, optimiser="sgd", learning_rate=0.1, momentum=0.0, weight_decay=0.0,
    schedule="constant", mixed_precision=False,
)  # fmt: skip
"""Plain gradient descent on all rows at once, 1,000 steps."""

FEWEST = 4
"""Images of either kind without which nothing can be tested."""


class Walked(NamedTuple):
    """Features (m, width) of members and (n, width) of non-members."""

    members: Floats
    non_members: Floats

    def halves(self) -> tuple[Walked, Walked]:
        """The first half of either kind, and the rest."""
        cut, other = len(self.members) // 2, len(self.non_members) // 2
        first = Walked(self.members[:cut], self.non_members[:other])
        return first, Walked(self.members[cut:], self.non_members[other:])


class Regressor:
    """Scores features (n, width) in [-1, 1]: the higher, the less like a training image of the owner's model.

    Maini et al., Dataset Inference, ICLR 2021, section 4.3 and its code: 100 ReLU units and a hyperbolic tangent,
    trained on the owner's model to be -1 for its members and 1 for non-members (the mean of the scores, signed, is
    minimised). Features are standardised by the members' mean and deviation on the owner's model.
    """

    def __init__(self, known: Walked, context: Context) -> None:
        """Learn from the owner's own model.

        Raises:
            DataError: if there are fewer than 4 members or non-members.
        """
        if min(len(known.members), len(known.non_members)) < FEWEST:
            raise DataError(f"Ownership needs at least {2 * FEWEST} members and as many non-members.")
        self._mean = known.members.mean(axis=0)
        self._deviation = np.maximum(known.members.std(axis=0), 1e-9)
        width = known.members.shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.seed)
            self._network = nn.Sequential(nn.Linear(width, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1), nn.Tanh())
        rows = self._standardised(np.concatenate(known))
        others = torch.cat([torch.zeros(len(known.members)), torch.ones(len(known.non_members))]).long()
        fit(
            self._network,
            rows,
            others,
            RECIPE,
            seed=context.seed,
            device=torch.device("cpu"),
            progress=context.progress,
            label="training the ownership regressor",
            loss=_signed_mean,
        )

    def scores(self, features: Floats) -> Floats:
        """Scores (n,) of features (n, width)."""
        with torch.no_grad():
            scored: Floats = self._network(self._standardised(features))[:, 0].double().numpy()
        return scored

    def judged(self, suspect: Walked) -> Scores:
        """Both groups' scores on a suspected model."""
        return Scores(self.scores(suspect.members), self.scores(suspect.non_members))

    def _standardised(self, features: Floats) -> torch.Tensor:
        return torch.from_numpy((features - self._mean) / self._deviation).float()


def _signed_mean(module: nn.Module, rows: torch.Tensor, others: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scores = module(rows)[:, 0]
    return -((2 * others - 1) * scores).mean(), torch.stack([-scores, scores], dim=1)


class Scores(NamedTuple):
    """A regressor's scores of the owner's members (m,) and of non-members (n,) on a suspected model."""

    members: Floats
    non_members: Floats

    @property
    def p_value(self) -> float:
        """How likely non-members score so much higher on a model that knows nothing of the members; see `welch`."""
        return welch(self.members, self.non_members)


def welch(members: Floats, non_members: Floats) -> float:
    """The one-sided p-value of Welch's t-test that non-members score higher; 1 where neither group varies."""
    if np.ptp(members) == 0 and np.ptp(non_members) == 0:
        return 1.0
    return float(ttest_ind(non_members, members, alternative="greater", equal_var=False).pvalue)


def p_by_size(scores: Scores, sizes: list[int], draws: int, seed: int) -> list[float]:
    """The p-value by how many images of each kind are asked about: the harmonic mean over random draws, as in 5.2."""
    random, means = np.random.default_rng(seed), []
    for size in sizes:
        values = [welch(*(random.choice(group, size, replace=False) for group in scores)) for _ in range(draws)]
        means.append(float(hmean(np.maximum(values, 1e-300))))
    return means
