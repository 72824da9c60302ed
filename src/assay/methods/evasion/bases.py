"""BASES: an ensemble of public networks whose weights are searched with the target's answers, then GFCS."""

from __future__ import annotations

from collections.abc import Collection

import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.base.errors import AccessError
from assay.methods.about import About
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.gradients import BATCH
from assay.methods.evasion.greedy import GreedyOptions, gfcs_from
from assay.methods.evasion.losses import margin
from assay.methods.evasion.queries import Ask, QueryResult, QueryState
from assay.methods.evasion.query_method import QueryMethod
from assay.methods.evasion.surrogates import Committee, public_networks
from assay.methods.method import Context, method
from assay.targets.target import Target

PUBLIC = "public network"
"""What the roles of the surrogates begin with, for `Method.companions_of`."""


class BasesOptions(GreedyOptions):
    """Options of the ensemble attack."""

    steps: int = Field(default=10, ge=1, le=1000, description="Steps along the ensemble's gradient before a question.")
    stride: float = Field(default=3.0, gt=0.0, description="All steps together, as a multiple of epsilon.")
    confidence: float = Field(
        default=5.0, ge=0.0, description="A network that errs with this margin of log-probabilities counts no more."
    )
    rate: float = Field(
        default=1.0, gt=0.0, description="By how much a weight is raised or lowered, over the mean weight."
    )
    search: int = Field(default=2, ge=0, description="Questions about an image that the search over weights may take.")


def bases(
    ask: Ask,
    images: torch.Tensor,
    labels: torch.Tensor,
    committee: Committee,
    options: BasesOptions,
    generator: torch.Generator,
    targets: torch.Tensor | None = None,
) -> QueryResult:
    """The attack on images float32 (n, c, h, w) and their labels int64 (n,), towards ``targets`` (n,) if given.

    Cai, Song, Krishnamurthy, Roy-Chowdhury and Asif, "Blackbox attacks via surrogate ensemble search", NeurIPS 2022,
    algorithm 1. The ensemble's adversarial image with equal weights is asked about first. Then one network's weight
    after the other is raised, and lowered if that brought nothing; each try goes on from the best point so far. Unlike
    there, a try that brings nothing is taken back. What withstands ``search`` questions is left to GFCS, from the best
    point and with the ensemble as its surrogate: a try of the search costs ten gradients of every network, one of GFCS
    a single one, and on images that withstood the first question it helped no later.
    """
    state = QueryState(ask, images, labels, options, targets)
    count = len(committee.members)
    weights = torch.full((len(images), count), 1 / count)
    rows = state.open() if options.search else torch.zeros(0, dtype=torch.int64)
    if len(rows):
        state.move(rows, perturb(committee, state, rows, weights[rows], options))
    tried = torch.zeros(len(images), dtype=torch.int64)
    for _ in range(options.search - 1):
        rows = state.open()
        if not len(rows):
            break
        # A network alone has no weight to change: its adversarial image is only carried further.
        changed = weights[rows] if count == 1 else _stepped(weights[rows], tried[rows], options.rate)
        better = state.move_if_better(rows, perturb(committee, state, rows, changed, options))
        weights[rows[better]] = changed[better]
        # After a success the same network is raised (or lowered) again only in the next round.
        tried[rows] += torch.where(better & (tried[rows] % 2 == 0), 2, 1)
    return gfcs_from(state, committee, options, generator)


def _stepped(weights: torch.Tensor, tried: torch.Tensor, rate: float) -> torch.Tensor:
    """Weights (m, k) with one of each row raised (``tried`` (m,) even) or lowered (odd), that sum to 1 again."""
    count = weights.shape[1]
    number, sign = tried // 2 % count, 1.0 - 2.0 * (tried % 2)
    changed = weights.clone()
    each = torch.arange(len(weights))
    changed[each, number] = (changed[each, number] + sign * rate / count).clamp_min(0.0)
    total = changed.sum(dim=1, keepdim=True)
    return torch.where(total > 0, changed / total.clamp_min(1e-12), weights)


def perturb(
    committee: Committee, state: QueryState, rows: torch.Tensor, weights: torch.Tensor, options: BasesOptions
) -> torch.Tensor:
    """Adversarial images (m, c, h, w) of the ensemble with weights (m, k), from where rows (m,) are; no question."""
    found = state.points[rows].clone()
    for start in range(0, len(rows), BATCH):
        part = slice(start, start + BATCH)
        found[part] = _ascent(committee, state, rows[part], weights[part], state.ball, options)
    return found


def _ascent(
    committee: Committee,
    state: QueryState,
    rows: torch.Tensor,
    weights: torch.Tensor,
    ball: Ball,
    options: BasesOptions,
) -> torch.Tensor:
    points, images = state.points[rows].clone(), state.images[rows]
    goal = state.labels[rows] if state.targets is None else state.targets[rows]
    sign = 1.0 if state.targets is None else -1.0

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return (sign * margin(logits, goal.to(logits.device))).clamp_max(options.confidence)

    for _ in range(options.steps):
        gradients, _ = committee.weighted(points, weights, loss)
        moved = points + options.stride / options.steps * ball.epsilon * ball.steepest(gradients)
        points = ball.project(moved, images)
    return points


@method
class Bases(QueryMethod, BasesOptions):
    """Public networks of the same data set as an ensemble, weighted by what the target answers.

    In hand are the most accurate networks of the catalogue for the target's data set that can be had and are not the
    target itself, by name and by weights.
    """

    name = "evasion.bases"
    about = About(
        "BASES, an ensemble of public networks",
        "Attacks public networks together and searches their weights by questions, then GFCS; success and questions.",
        "Cai et al., Blackbox attacks via surrogate ensemble search, NeurIPS 2022; Lord et al., 2022, from there on",
        threat_model="Black box, posteriors. The attacker has downloaded public networks of the same task, makes "
        "adversarial images on all of them together, and weights them by what the service answers.",
        atlas=("AML.T0043.001", "AML.T0043.002", "AML.T0015"),
    )
    version = 2
    presets = {"standard": {}, "full": {"max_images": 1000}}

    surrogates: int = Field(default=20, ge=1, description="Public networks in hand at most, the most accurate ones.")
    targeted: bool = Field(default=False, description="Aim at a wrong class, drawn for each image, not at any.")

    def public_companions(self, target: Target) -> dict[str, str]:
        """The networks."""
        return {f"{PUBLIC} {n}": entry.id for n, entry in enumerate(public_networks(target, self.surrogates), start=1)}

    def why_not(self, companions: Collection[str]) -> str:
        """Without a public network there is nothing to attack with."""
        if companions:
            return ""
        return (
            "It needs another public network of the same data set, and the catalogue has none that can be had, takes "
            "such images and is not the target itself."
        )

    def prior(self, context: Context) -> tuple[WhiteBox | None, str]:
        """The ensemble, and words for the attack."""
        boxes = [box for role, box in context.companions.items() if role.startswith(PUBLIC)]
        if not boxes:
            raise AccessError(self.why_not([]))
        return Committee(boxes), f"An attack with {len(boxes)} public network{'s' if len(boxes) > 1 else ''} in hand"

    @property
    def aim(self) -> str:
        """What the attack makes the model do."""
        return "makes the model answer a wrong class drawn beforehand" if self.targeted else super().aim

    def attack(
        self,
        ask: Ask,
        images: torch.Tensor,
        labels: torch.Tensor,
        prior: WhiteBox | None,
        generator: torch.Generator,
    ) -> QueryResult:
        """BASES with these options."""
        assert isinstance(prior, Committee), "prior() made it"
        targets = wrong_classes(labels, prior.num_classes, generator) if self.targeted else None
        return bases(ask, images, labels, prior, self, generator, targets)


def wrong_classes(labels: torch.Tensor, classes: int, generator: torch.Generator) -> torch.Tensor:
    """For each label int64 (n,) another class, drawn uniformly."""
    return (labels + torch.randint(1, classes, labels.shape, generator=generator)) % classes
