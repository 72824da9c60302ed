"""Membership inference by quantile regression: how high an image would score if it were no member."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import ndtri
from torch import nn
from torch.nn.functional import softplus

from assay.access import Oracle
from assay.base.errors import DataError
from assay.base.intervals import Floats, clopper_pearson
from assay.data.images import Images, Subset
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding, Metric
from assay.methods.membership.attack import MembershipMethod, Population
from assay.methods.membership.mlp_attack import positions
from assay.methods.membership.results import (
    auc_metric,
    blind_metrics,
    low_rate_metrics,
    most_exposed,
    of_members,
    of_non_members,
    rate_metric,
    roc_figure,
    samples_of,
)
from assay.methods.membership.roc import Rate, Scores
from assay.methods.membership.signals import log_odds
from assay.methods.membership.verdict import verdict
from assay.methods.method import Context, method
from assay.training.engine import fit, predict, seeded_build
from assay.training.recipe import Recipe

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""The quantiles that are predicted."""

ALPHAS = (0.05, 0.01, 0.001)
"""False-positive rates that thresholds are calibrated for."""

LEARNED = 0.8
"""The share of the attacker's own images that quantiles are learned from; thresholds come from the rest."""

FEWEST = 8
"""Images to learn quantiles from, at least."""


class Placed(NamedTuple):
    """Places of members and of the judged non-members among their own quantiles.

    ``calibrating`` (k,) are places of non-members that neither taught the quantiles nor are judged; ``judged`` int64
    are the positions of those who are, ``log_odds`` their scores, and ``images`` the part that members are rows of.
    """

    people: Population
    places: Scores
    calibrating: Floats
    judged: NDArray[np.int64]
    log_odds: Floats
    images: Images


@method
class QuantileRegression(MembershipMethod[Placed]):
    """A network predicts, from the image, quantiles of the score that a non-member would get; no shadow models.

    The non-members are split in half at random. One half is the attacker's own data, which it knows the target was not
    trained on: the network learns from four fifths of their scores (scaled logits), by the pinball loss at several
    quantiles that cannot cross. The members and the other half are judged by their place among their own quantiles,
    carried to the standard normal distribution, linearly between quantiles and beyond the outermost. As a network that
    fits its images too closely predicts quantiles that are too low, thresholds for false-positive rates alpha are the
    quantiles 1 - alpha of the places of the last fifth, which it has not seen (split conformal calibration).
    """

    name = "membership.quantile"
    novel_inputs = True
    about = About(
        title="Membership inference by quantile regression",
        summary="Learns from known non-members how high an image scores if it is none, and flags those that score "
        "higher.",
        paper="Bertran et al., Scalable Membership Inference Attacks via Quantile Regression, NeurIPS 2023",
        threat_model="Black box with data. The attacker has labelled images of the same kind that it knows the target "
        "was not trained on (half of the non-members here), gets the posteriors for every sample, once, and trains one "
        "small network. It knows no member.",
    )
    presets = {"standard": {}, "full": {"max_members": None, "epochs": 30}}
    modalities = ("image", "vector")
    suited = {"vector": {"architecture": "vector:mlp"}}

    architecture: str = Field(default="small-cnn", description="The architecture of the network.")
    epochs: int = Field(default=10, ge=1, description="Passes over the attacker's own images.")
    learning_rate: float = Field(default=0.001, gt=0.0, description="Adam's learning rate; it falls to 0.")

    def measure(self, access: Oracle, data: Splits, context: Context) -> Placed:
        """Places among the quantiles that a network learned from the attacker's own non-members.

        Raises:
            DataError: if fewer than `FEWEST` non-members are left to learn from, or as `MembershipMethod.ask`.
            BudgetError: as `MembershipMethod.ask`.
            AccessError: if the target answers with labels only.
        """
        people = self.ask(access, data, context)
        assert data.members is not None
        assert data.non_members is not None
        scores = [log_odds(part.answers.require_posteriors(), part.labels) for part in people.parts]
        count = len(scores[1])
        order = torch.randperm(count, generator=context.generator("membership.quantile: half")).numpy()
        judged, last, first = (
            np.sort(rows) for rows in np.split(order, [-(-count // 2), count - int(LEARNED * (count // 2))])
        )
        if len(first) < FEWEST:
            raise DataError(f"Quantile regression needs at least {FEWEST} images to learn from; {len(first)} are left.")
        images = Subset(data.members, people.members.rows), Subset(data.non_members, people.non_members.rows)
        own = (Subset(images[1], first), scores[1][first])
        others = [(images[0], scores[0]), *((Subset(images[1], rows), scores[1][rows]) for rows in (judged, last))]
        *places, calibrating = self._places(*own, others, context)
        kept = positions(people, np.arange(len(scores[0])), judged)
        odds = np.concatenate(scores)[kept]
        return Placed(people, (places[0], places[1]), calibrating, kept, odds, data.members)

    def account(self, result: Placed, context: Context) -> Finding:
        people, places = result.people, result.places
        auc = auc_metric("quantile", places, people.note)
        levels = level_metrics(places, result.calibrating)
        return Finding(
            metrics=[auc, *low_rate_metrics(places, context.seed), *levels, *blind_metrics(people.blind)],
            verdict=verdict(auc, places, people.blind),
            figures=[
                roc_figure({"quantile": places}),
                most_exposed(result.images, people.members.rows, places[0], context),
            ],
            samples=samples_of(
                people,
                {"quantile": places},
                level_outcomes(places, result.calibrating),
                {"log_odds": result.log_odds},
                result.judged,
            ),
        )

    def _places(
        self, own: Images, own_scores: Floats, judged: Sequence[tuple[Images, Floats]], context: Context
    ) -> list[Floats]:
        module = seeded_build(self.architecture, len(LEVELS), own.shape, context.seed)
        recipe = Recipe(
            epochs=self.epochs, batch_size=64, optimiser="adam", learning_rate=self.learning_rate, mixed_precision=False
        )
        middle, spread = float(own_scores.mean()), float(own_scores.std()) or 1.0
        wanted = torch.from_numpy((own_scores - middle) / spread).float()[:, None]
        fit(
            module, own, wanted, recipe, seed=context.seed, device=context.device, progress=context.progress,
            label="training the quantile regression", loss=pinball,
        )  # fmt: skip
        return [
            place((scores - middle) / spread, quantiles(predict(module, images, context.device)).numpy())
            for images, scores in judged
        ]


def quantiles(outputs: torch.Tensor) -> torch.Tensor:
    """Rising quantiles (n, levels) from a network's outputs: the first, and positive steps to the next."""
    return torch.cat([outputs[:, :1], softplus(outputs[:, 1:]) + 1e-3], dim=1).cumsum(dim=1)


def pinball(module: nn.Module, images: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The pinball loss of scores (n, 1), meaned over `LEVELS`: max(t u, (t - 1) u) with u = score - quantile.

    Bertran et al., NeurIPS 2023; Koenker and Bassett, Econometrica 46 (1978). It is least, on average, at the quantile.
    """
    outputs = module(images)
    levels = torch.tensor(LEVELS, device=outputs.device)
    under = scores - quantiles(outputs.float())
    return torch.maximum(levels * under, (levels - 1) * under).mean(), outputs


def place(scores: Floats, predicted: NDArray[np.floating[Any]]) -> Floats:
    """Where scores (n,) lie among their own rising quantiles (n, levels), as a standard normal deviate (n,)."""
    bounds, deviates = predicted.astype(np.float64), ndtri(LEVELS)
    at = np.clip((scores[:, None] >= bounds).sum(axis=1) - 1, 0, len(LEVELS) - 2)
    rows = np.arange(len(scores))
    low, high = bounds[rows, at], bounds[rows, at + 1]
    return np.asarray(deviates[at] + (scores - low) / (high - low) * (deviates[at + 1] - deviates[at]))


def conformal_threshold(places: Floats, alpha: float) -> float | None:
    """The least of places (n,) that a new one exceeds with probability alpha at most; None if n is too small.

    Split conformal prediction: the ceil((1 - alpha)(n + 1))-th smallest of n held-out values.
    """
    rank = int(np.ceil((1 - alpha) * (len(places) + 1) - 1e-9))
    return float(np.sort(places)[rank - 1]) if rank <= len(places) else None


def level_metrics(places: Scores, calibrating: Floats) -> list[Metric]:
    """``found_at_<alpha>`` and ``alarms_at_<alpha>``: rates above `conformal_threshold` of the held-out places."""
    metrics = []
    for alpha in ALPHAS:
        threshold = conformal_threshold(calibrating, alpha)
        for name, kind, part in zip(("found", "alarms"), ("Members", "Non-members"), places, strict=True):
            if threshold is None:
                rate = Rate(None, None, f"{len(calibrating)} held-out images cannot support {100 * alpha:g} %.")
            else:
                hits = int((part > threshold).sum())
                note = f"The threshold comes from {len(calibrating):,} images that are not judged."
                rate = Rate(hits / len(part), clopper_pearson(hits, len(part)), note)
            label = f"{kind} flagged at a threshold calibrated for {100 * alpha:g} % FPR"
            metrics.append(rate_metric(f"{name}_at_{alpha:g}", label, rate, len(part)))
    return metrics


def level_outcomes(places: Scores, calibrating: Floats) -> dict[str, Floats]:
    """Who is flagged, for each of `level_metrics` that has a value: outcomes of `samples_of`."""
    outcomes: dict[str, Floats] = {}
    for alpha in ALPHAS:
        if (threshold := conformal_threshold(calibrating, alpha)) is not None:
            flags = (places[0] > threshold, places[1] > threshold)
            outcomes |= {f"found_at_{alpha:g}": of_members(flags), f"alarms_at_{alpha:g}": of_non_members(flags)}
    return outcomes
