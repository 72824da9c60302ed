"""One query attack after another on the same images, with nothing in hand and with each prior."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import WhiteBox
from assay.methods.evasion.ball import Norm
from assay.methods.evasion.greedy import GreedyOptions, gfcs
from assay.methods.evasion.prior_guided import RgfOptions, p_rgf
from assay.methods.evasion.queries import Ask, QueryOptions, QueryResult
from assay.methods.evasion.square import SquareOptions, square
from assay.methods.method import Context
from assay.methods.siblings.attackers import NOTHING
from assay.methods.siblings.similarity_measures import ascend

Guided = Literal["transfer", "p-rgf", "gfcs"]

Attack = Guided | Literal["square"]

SQUARE_SHARE: dict[Norm, float] = {"linf": 0.05, "l2": 0.1}
"""The share of an image that Square's squares cover at first, as its authors' code has it for standard networks."""


class Campaign(NamedTuple):
    """An attack with a prior (`NOTHING` for none), and what came of it for n images."""

    attack: Attack
    prior: str
    result: QueryResult

    @property
    def name(self) -> str:
        """What metrics and columns of it end in."""
        return f"{self.attack}_{self.prior}".replace(" ", "_")


def charge(result: QueryResult, cap: int) -> NDArray[np.int64]:
    """Questions (n,) that each image took; where the attack failed, the whole cap."""
    spent: NDArray[np.int64] = np.where(result.success, result.queries, cap)
    return spent


def transfer(
    ask: Ask,
    images: torch.Tensor,
    labels: torch.Tensor,
    prior: WhiteBox,
    options: QueryOptions,
    generator: torch.Generator,
) -> QueryResult:
    """An adversarial image of the prior's own is tried first; images that withstand it are left to GFCS.

    Two questions where the first image carries over: one about the image itself, one about the changed one.
    """
    if options.max_queries < 3:
        return gfcs(ask, images, labels, prior, GreedyOptions(**options.model_dump()), generator)
    points, queries = images.clone(), torch.ones(len(images), dtype=torch.int64)
    fooled = ask(images).argmax(dim=1) != labels
    rows = torch.nonzero(~fooled)[:, 0]
    if len(rows):
        ball = options.ball((images.shape[1], images.shape[2], images.shape[3]))
        points[rows] = ascend(prior, images[rows], labels[rows], ball)
        fooled[rows] = ask(points[rows]).argmax(dim=1) != labels[rows]
        queries[rows] = 2
    rows = torch.nonzero(~fooled)[:, 0]
    if len(rows):
        # GFCS asks about the image itself once more; an attacker has noted that answer.
        rest = options.model_copy(update={"max_queries": options.max_queries - 1})
        further = gfcs(ask, images[rows], labels[rows], prior, GreedyOptions(**rest.model_dump()), generator)
        points[rows], fooled[rows] = further.adversarial, torch.from_numpy(further.success)
        queries[rows] = torch.from_numpy(further.queries) + 1
    return QueryResult(points, fooled.numpy(), queries.numpy())


def run_attack(
    attack: Attack,
    ask: Ask,
    images: torch.Tensor,
    labels: torch.Tensor,
    prior: WhiteBox | None,
    options: QueryOptions,
    generator: torch.Generator,
) -> QueryResult:
    """One attack with its usual options, but for the norm, epsilon and cap that all of them share.

    Raises:
        ValueError: if an attack by transfer is given no prior.
    """
    shared = options.model_dump(include={"norm", "epsilon", "max_queries"})
    if attack == "p-rgf":
        return p_rgf(ask, images, labels, prior, RgfOptions(**shared), generator)
    if attack == "gfcs":
        return gfcs(ask, images, labels, prior, GreedyOptions(**shared), generator)
    if attack == "square":
        return square(ask, images, labels, SquareOptions(**shared, initial_share=SQUARE_SHARE[options.norm]), generator)
    if prior is None:
        raise ValueError("nothing transfers without another network")
    return transfer(ask, images, labels, prior, QueryOptions(**shared), generator)


def planned(priors: dict[str, WhiteBox | None], attacks: tuple[Guided, ...]) -> list[tuple[Attack, str]]:
    """Every attack with every prior that it can use, and Square without any: it is the strongest that needs none."""
    wanted: list[tuple[Attack, str]]
    wanted = [(attack, prior) for prior in priors for attack in attacks if attack != "transfer" or prior != NOTHING]
    return [*wanted, ("square", NOTHING)] if NOTHING in priors else wanted


def run_campaigns(
    ask: Ask,
    images: torch.Tensor,
    labels: torch.Tensor,
    priors: dict[str, WhiteBox | None],
    attacks: tuple[Guided, ...],
    options: QueryOptions,
    context: Context,
    batch: int = 100,
) -> list[Campaign]:
    """What is `planned`, one after the other, on images float32 (n, c, h, w) and their labels int64 (n,)."""
    campaigns = []
    for attack, prior in planned(priors, attacks):
        generator = context.generator(f"siblings: {attack}, {prior}")
        results = []
        with context.progress.step(f"{attack}, {prior}", len(images)) as bar:
            for start in range(0, len(images), batch):
                part = slice(start, start + batch)
                results.append(run_attack(attack, ask, images[part], labels[part], priors[prior], options, generator))
                bar.advance(len(images[part]))
        joined = QueryResult(
            torch.cat([result.adversarial for result in results]),
            np.concatenate([result.success for result in results]),
            np.concatenate([result.queries for result in results]),
        )
        campaigns.append(Campaign(attack, prior, joined))
    return campaigns
