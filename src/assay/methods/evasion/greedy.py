"""Attacks that try one direction at a time, forwards and backwards, and keep what raises the loss: GFCS and SimBA."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.methods.about import About
from assay.methods.evasion.losses import runner_up
from assay.methods.evasion.prior import PRIOR_THREAT, PriorMethod
from assay.methods.evasion.queries import Ask, QueryOptions, QueryResult, QueryState
from assay.methods.evasion.query_method import QueryMethod
from assay.methods.evasion.surrogates import Committee
from assay.methods.method import method
from assay.methods.stealing.basic import BasicStealing

Basis = Literal["pixel", "dct"]

Chooser = Callable[[QueryState, torch.Tensor, torch.Tensor], torch.Tensor]
"""What is tried next, one row an image: directions of norm 1 (m, c, h, w), or weights of logits (m, classes) for them.
It is told the images under attack, rows (m,) of them, and how many tries of each were in vain since it moved (m,)."""


class GreedyOptions(QueryOptions):
    """Options of all of these."""

    step: float = Field(default=0.2, gt=0.0, le=2.0, description="Length of a step, as a share of epsilon.")


class SimbaOptions(GreedyOptions):
    """Options of SimBA."""

    basis: Basis = Field(
        default="dct", description="Directions: single pixels (pixel), or cosines, those of low frequency first (dct)."
    )


def greedy(state: QueryState, step: float, directions: Chooser) -> QueryResult:
    """Walk along directions, each tried forwards and, if that brings nothing, backwards; one question a try.

    ``step`` is a share of epsilon. A try in vain leaves the image where it is.
    """
    shape = state.images.shape
    current = torch.zeros(shape)
    backwards = torch.zeros(len(state.images), dtype=torch.bool)
    vain = torch.zeros(len(state.images), dtype=torch.int64)
    while len(rows := state.open()):
        fresh = rows[~backwards[rows]]
        current[fresh] = directions(state, fresh, vain[fresh]) if len(fresh) else current[fresh]
        sign = torch.where(backwards[rows], -step, step)[:, None, None, None]
        better = state.move_if_better(rows, state.points[rows] + sign * state.ball.epsilon * current[rows])
        exhausted = ~better & backwards[rows]
        backwards[rows] = ~better & ~backwards[rows]
        vain[rows[exhausted]] += 1
        vain[rows[better]] = 0
    return state.result()


def gfcs(
    ask: Ask,
    images: torch.Tensor,
    labels: torch.Tensor,
    prior: WhiteBox | None,
    options: GreedyOptions,
    generator: torch.Generator,
) -> QueryResult:
    """GFCS on images float32 (n, c, h, w) and their labels int64 (n,).

    Lord, Mueller and Bertinetto, "Attacking deep networks with surrogate-based adversarial black-box methods is easy",
    ICLR 2022. The surrogate's gradient of the difference between the target's second class and the label is tried
    first. Where it fails either way, directions of `simba_ods` are, until one succeeds. Without a prior, directions are
    random.
    """
    return gfcs_from(QueryState(ask, images, labels, options), prior, options, generator)


def gfcs_from(
    state: QueryState, prior: WhiteBox | None, options: GreedyOptions, generator: torch.Generator
) -> QueryResult:
    """GFCS from where images are; towards the classes aimed at, where there are such, against the best other one."""

    def weights(state: QueryState, rows: torch.Tensor, vain: torch.Tensor) -> torch.Tensor:
        goal, sign = (state.labels, -1.0) if state.targets is None else (state.targets, 1.0)
        own, other = goal[rows, None], runner_up(state.logits[rows], goal[rows])[:, None]
        random = _random_weights(state, rows, generator)
        steady = torch.zeros_like(random).scatter(1, own, sign).scatter(1, other, -sign)
        return torch.where(vain[:, None] == 0, steady, random)

    return _through(prior, weights, state, options, generator)


def simba_ods(
    ask: Ask,
    images: torch.Tensor,
    labels: torch.Tensor,
    prior: WhiteBox | None,
    options: GreedyOptions,
    generator: torch.Generator,
) -> QueryResult:
    """SimBA along the surrogate's gradients of random combinations of its logits, weights uniform in [-1, 1].

    Tashiro, Song and Ermon, "Diversity can be transferred: output diversification for white- and black-box attacks",
    NeurIPS 2020. Without a prior, directions are random.
    """

    def weights(state: QueryState, rows: torch.Tensor, vain: torch.Tensor) -> torch.Tensor:
        return _random_weights(state, rows, generator)

    return _through(prior, weights, QueryState(ask, images, labels, options), options, generator)


def simba(
    ask: Ask, images: torch.Tensor, labels: torch.Tensor, options: SimbaOptions, generator: torch.Generator
) -> QueryResult:
    """SimBA: directions of an orthonormal basis in random order, each once before any comes again.

    Guo, Gardner, You, Wilson and Weinberger, "Simple black-box adversarial attacks", ICML 2019. Its authors try a
    decrease first, and so does this. Of the cosines, blocks of ever higher frequencies come one after the other, as in
    the authors' code for large images: the first is a sixteenth of the image's side, each next one a 32nd wider.
    """
    _, channels, height, width = images.shape
    vertical, horizontal = (_basis(options.basis, side) for side in (height, width))
    block = torch.zeros(channels, height, width)
    if options.basis == "dct":
        block += torch.maximum(_block(height)[:, None], _block(width)[None])
    total = block.numel()
    kept = min(total, options.max_queries)
    orders = [
        (block.flatten() + torch.rand(total, generator=generator)).argsort()[:kept].clone() for _ in range(len(images))
    ]
    order = torch.stack(orders) if orders else torch.zeros((0, kept), dtype=torch.int64)
    used = torch.zeros(len(images), dtype=torch.int64)

    def directions(state: QueryState, rows: torch.Tensor, vain: torch.Tensor) -> torch.Tensor:
        number = order[rows, used[rows] % kept]
        used[rows] += 1
        found = torch.zeros((len(rows), channels, height, width))
        pattern = vertical[number // width % height][:, :, None] * horizontal[number % width][:, None]
        found[torch.arange(len(rows)), number // (height * width)] = -pattern
        return found

    return greedy(QueryState(ask, images, labels, options), options.step, directions)


def _random_weights(state: QueryState, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.rand((len(rows), state.logits.shape[1]), generator=generator) * 2 - 1


def _through(
    prior: WhiteBox | None, weights: Chooser, state: QueryState, options: GreedyOptions, generator: torch.Generator
) -> QueryResult:
    """Walk along the steepest directions of the surrogate's logits, weighted (m, classes) and summed."""

    def directions(state: QueryState, rows: torch.Tensor, vain: torch.Tensor) -> torch.Tensor:
        if prior is None:
            return state.ball.steepest(torch.randn((len(rows), *state.images.shape[1:]), generator=generator))
        wanted = weights(state, rows, vain).to(prior.device)
        slopes = _slopes(prior, state.points[rows], lambda logits: (logits * wanted).sum(dim=1), vain, generator)
        return state.ball.steepest(state.tangent(rows, slopes))

    return greedy(state, options.step, directions)


def _slopes(
    prior: WhiteBox,
    points: torch.Tensor,
    loss: Callable[[torch.Tensor], torch.Tensor],
    vain: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """Gradients (m, c, h, w) of a surrogate's loss; of several surrogates all together, and after tries in vain one.

    The mean gradient of many networks, weighted at random over their outputs, spans few directions; each network's own
    lead elsewhere. Which one is drawn for each point.
    """
    if not isinstance(prior, Committee):
        return prior.gradient(points, loss)[0]
    count = len(prior.members)
    shares = torch.full((len(points), count), 1 / count)
    alone = torch.nonzero(vain)[:, 0]
    drawn = torch.randint(count, (len(alone),), generator=generator)
    shares[alone] = torch.nn.functional.one_hot(drawn, count).float()
    return prior.weighted(points, shares, loss)[0]


def _basis(basis: Basis, side: int) -> torch.Tensor:
    """Orthonormal rows (side, side): of the identity, or of the discrete cosine transform (type II)."""
    if basis == "pixel":
        return torch.eye(side)
    frequency, place = torch.arange(side)[:, None], torch.arange(side)[None]
    rows = torch.cos(math.pi * frequency * (place + 0.5) / side) * math.sqrt(2 / side)
    rows[0] /= math.sqrt(2)
    return rows


def _block(side: int) -> torch.Tensor:
    """The number of the block that each frequency of a side (side,) belongs to, from 0 on."""
    first, stride = max(1, round(side / 16)), max(1, round(side / 32))
    return ((torch.arange(side) - first + stride) // stride).clamp_min(0).float()


@method
class Gfcs(PriorMethod, GreedyOptions):
    """GFCS: the surrogate's gradient first, random combinations of its outputs where that fails."""

    name = "evasion.gfcs"
    about = About(
        "GFCS through a stolen surrogate",
        "Tries a stolen surrogate's gradient, then random ones of its outputs; success and questions.",
        "Lord et al., Attacking deep networks with surrogate-based adversarial black-box methods is easy, 2022",
        threat_model=PRIOR_THREAT,
    )
    version = 3
    presets = {
        "standard": {"surrogate": BasicStealing.presets["standard"]},
        "full": {"max_images": 1000, "surrogate": BasicStealing.presets["full"]},
    }

    def attack(
        self,
        ask: Ask,
        images: torch.Tensor,
        labels: torch.Tensor,
        prior: WhiteBox | None,
        generator: torch.Generator,
    ) -> QueryResult:
        """GFCS with these options."""
        return gfcs(ask, images, labels, prior, self, generator)


@method
class SimbaOds(PriorMethod, GreedyOptions):
    """SimBA along gradients of random combinations of the surrogate's outputs."""

    name = "evasion.simba_ods"
    about = About(
        "SimBA-ODS through a stolen surrogate",
        "Tries gradients of random combinations of a stolen surrogate's outputs; success and questions.",
        "Tashiro et al., Diversity can be transferred: output diversification for white- and black-box attacks, 2020",
        threat_model=PRIOR_THREAT,
    )
    version = 3
    presets = {"full": {"max_images": 1000, "surrogate": BasicStealing.presets["full"]}}

    def attack(
        self,
        ask: Ask,
        images: torch.Tensor,
        labels: torch.Tensor,
        prior: WhiteBox | None,
        generator: torch.Generator,
    ) -> QueryResult:
        """SimBA-ODS with these options."""
        return simba_ods(ask, images, labels, prior, self, generator)


@method
class Simba(QueryMethod, SimbaOptions):
    """SimBA: one basis vector after the other, there and back."""

    name = "evasion.simba"
    about = About(
        "SimBA",
        "Adds or takes away one cosine or pixel at a time and keeps what helps; success and questions.",
        "Guo et al., Simple black-box adversarial attacks, 2019",
    )
    presets = {"full": {"max_images": 1000}}

    def attack(
        self,
        ask: Ask,
        images: torch.Tensor,
        labels: torch.Tensor,
        prior: WhiteBox | None,
        generator: torch.Generator,
    ) -> QueryResult:
        """SimBA with these options."""
        return simba(ask, images, labels, self, generator)
