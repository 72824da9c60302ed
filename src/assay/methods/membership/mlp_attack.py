"""Membership inference by a small network trained on the target's answers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn
from torch.nn.functional import cross_entropy

from assay.access import Oracle
from assay.base.errors import DataError
from assay.base.intervals import Floats
from assay.base.progress import Progress, silent
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding
from assay.methods.membership.attack import MembershipMethod, Part, Population
from assay.methods.membership.results import auc_metric, blind_metrics, low_rate_metrics, roc_figure, samples_of
from assay.methods.membership.roc import Scores
from assay.methods.membership.verdict import verdict
from assay.methods.method import Context, method
from assay.methods.work import Sizes, Work
from assay.training.engine import fit, predict
from assay.training.recipe import Recipe

RECIPE = Recipe(
    epochs=50, batch_size=256, optimiser="adam", learning_rate=0.01, weight_decay=0.0, schedule="constant",
    mixed_precision=False,
)  # fmt: skip

FEWEST = 4
"""Samples of each kind without which nothing can be learned and judged."""


DECIDING = "mlp_full"
"""The features that the verdict rests on."""


class LearnedScores(NamedTuple):
    """Scores, by name, of the half that was judged; ``judged`` int64 (k,) are its positions, members first."""

    people: Population
    scores: dict[str, Scores]
    judged: NDArray[np.int64]


@method
class MlpAttack(MembershipMethod[LearnedScores]):
    """SecurityNet's learned attack: 64 and 32 hidden units, Adam at 0.01, 50 epochs, on sorted posteriors.

    The samples are split in half at random, members and non-members alike. The attack is trained on one half, whose
    membership it is told, and judged on the other. What the papers leave open is set here: batches of 256, posteriors
    standardised by the training half's mean and deviation, and the loss of each class weighted as if both were equally
    many. ``correctness`` is the bit that ML-Doctor (USENIX Security 2022) adds through a branch of its own: 1 where the
    target's label is right; without true labels it is left out. The verdict rests on the full posteriors, chosen
    beforehand.
    """

    name = "membership.mlp"
    needs = "top-k"
    true_labels = False
    about = About(
        title="Learned membership inference (MLP)",
        summary="Trains a small network to tell members from non-members by the target's sorted posteriors.",
        paper="Zhang et al., SecurityNet: Assessing Machine Learning Vulnerabilities on Public Models, 2024",
        threat_model="Black box with partial knowledge. The attacker knows of half of the samples whether they were "
        "trained on, gets the posteriors for all of them, once each, and judges the other half.",
    )
    presets = {"quick": {}, "standard": {}, "full": {"max_members": None}}
    modalities = ("image", "text", "vector")

    epochs: int = Field(default=50, ge=1, description="Passes over the half that is known.")

    def work(self, sizes: Sizes) -> Work | None:
        """Three small networks beside the answers: 5 microseconds a sample and pass."""
        known = super().work(sizes)
        if known is None:
            return None
        return known._replace(seconds=3 * self.epochs * (known.members + known.non_members) / 2 * 5e-6)

    def measure(self, access: Oracle, data: Splits, context: Context) -> LearnedScores:
        """Scores of the judged half by networks trained on the other.

        Raises:
            DataError: as `known_and_judged` and `MembershipMethod.ask`.
            BudgetError: as `MembershipMethod.ask`.
            AccessError: if the target answers with labels only.
        """
        people = self.ask(access, data, context)
        halves = known_and_judged(people, context, self.name)
        scores = {}
        for name in ("mlp_full", "mlp_top_3", *(["mlp_full_and_correctness"] if people.labelled else [])):
            inside, outside = (features(part, name) for part in people.parts)
            scores[name] = learned_scores(
                (inside[halves[0][0]], outside[halves[1][0]]),
                (inside[halves[0][1]], outside[halves[1][1]]),
                recipe=RECIPE.model_copy(update={"epochs": self.epochs}),
                seed=context.seed,
                device=context.device,
                progress=context.progress,
            )
        return LearnedScores(people, scores, positions(people, halves[0][1], halves[1][1]))

    def account(self, result: LearnedScores, context: Context) -> Finding:
        people, scores, judged = result
        aucs = [auc_metric(name, pair, people.note) for name, pair in scores.items()]
        return Finding(
            metrics=[*aucs, *low_rate_metrics(scores[DECIDING], context.seed), *blind_metrics(people.blind)],
            verdict=verdict(aucs[0], scores[DECIDING], people.blind),
            figures=[roc_figure(scores)],
            samples=samples_of(people, scores, kept=judged),
        )


def positions(people: Population, members: NDArray[np.int64], non_members: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions among everybody, members first, of some members and some non-members."""
    return np.concatenate([members, len(people.members.rows) + non_members])


def known_and_judged(
    people: Population, context: Context, purpose: str
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For members and for non-members, the positions, in order, of the two halves of a random halving.

    Raises:
        DataError: if there are fewer than `FEWEST` of either.
    """
    parts = (people.members, people.non_members)
    if min(len(part.rows) for part in parts) < FEWEST:
        needed = f"The learned attack needs at least {FEWEST} members and {FEWEST} non-members. {people.note}"
        raise DataError(needed.rstrip())
    orders = [
        torch.randperm(len(part.rows), generator=context.generator(f"{purpose}: half {i}")).numpy()
        for i, part in enumerate(parts)
    ]
    return [(np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])) for order in orders]


def features(part: Part, name: str) -> NDArray[np.float32]:
    """What the attack sees of each sample, in [0, 1], (n, width): posteriors in descending order, all or three.

    ``mlp_full_and_correctness`` adds whether the answer is right.
    """
    ordered = np.sort(part.answers.require_posteriors(), axis=1)[:, ::-1]
    if name == "mlp_top_3":
        return ordered[:, :3]
    if name == "mlp_full_and_correctness":
        return np.column_stack([ordered, part.answers.labels == part.labels]).astype(np.float32)
    return ordered


def learned_scores(
    known: tuple[NDArray[np.float32], NDArray[np.float32]],
    judged: tuple[NDArray[np.float32], NDArray[np.float32]],
    *,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> tuple[Floats, Floats]:
    """Log-odds of membership (m,), (n,) of the judged members and non-members.

    All four arguments hold features in [0, 1], (rows, width); the network is trained on the known ones.
    """
    inputs = torch.from_numpy(np.concatenate(known))
    targets = torch.cat([torch.ones(len(known[0])), torch.zeros(len(known[1]))]).long()
    weight = len(targets) / (2 * torch.bincount(targets, minlength=2))
    network = attack_network(inputs, seed)

    def weighted(module: nn.Module, rows: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = module(rows)
        return cross_entropy(logits, wanted, weight.to(logits.device)), logits

    fit(
        network, _as_images(inputs), targets, recipe, seed=seed, device=device, progress=progress or silent(),
        label="training the attack", loss=weighted,
    )  # fmt: skip
    logits = predict(network, _as_images(torch.from_numpy(np.concatenate(judged))), device, batch_size=1 << 16)
    odds = (logits[:, 1] - logits[:, 0]).numpy().astype(np.float64)
    return odds[: len(judged[0])], odds[len(judged[0]) :]


class Standardise(nn.Module):
    """Subtracts the mean and divides by the deviation of given rows (n, width)."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, rows: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", rows.mean(dim=0))
        self.register_buffer("deviation", rows.std(dim=0, correction=0).clamp_min(1e-6))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (n, width), standardised."""
        return (rows - self.mean) / self.deviation


def attack_network(rows: torch.Tensor, seed: int) -> nn.Module:
    """The network for inputs like the rows (n, width): standardised, then 64 and 32 ReLU units and two logits."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(
            nn.Flatten(), Standardise(rows), nn.Linear(rows.shape[1], 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(),
            nn.Linear(32, 2),
        )  # fmt: skip


def _as_images(rows: torch.Tensor) -> torch.Tensor:
    return rows.reshape(len(rows), 1, 1, -1).clamp(0, 1)
