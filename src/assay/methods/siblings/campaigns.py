"""One query attack after another on the same images, with nothing in hand and with each prior."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import WhiteBox
from assay.methods.evasion.greedy import GreedyOptions, gfcs
from assay.methods.evasion.prior_guided import RgfOptions, p_rgf
from assay.methods.evasion.queries import Ask, QueryOptions, QueryResult
from assay.methods.evasion.square import SquareOptions, square
from assay.methods.method import Context

Attack = Literal["p-rgf", "gfcs", "square"]

NOTHING = "no prior"
"""What the attacker has without any other network."""


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


def run_attack(
    attack: Attack,
    ask: Ask,
    images: torch.Tensor,
    labels: torch.Tensor,
    prior: WhiteBox | None,
    options: QueryOptions,
    generator: torch.Generator,
) -> QueryResult:
    """One attack with its usual options, but for the norm, epsilon and cap that all of them share."""
    shared = options.model_dump(include={"norm", "epsilon", "max_queries"})
    if attack == "p-rgf":
        return p_rgf(ask, images, labels, prior, RgfOptions(**shared), generator)
    if attack == "gfcs":
        return gfcs(ask, images, labels, prior, GreedyOptions(**shared), generator)
    return square(ask, images, labels, SquareOptions(**shared), generator)


def run_campaigns(
    ask: Ask,
    images: torch.Tensor,
    labels: torch.Tensor,
    priors: dict[str, WhiteBox | None],
    attacks: tuple[Attack, ...],
    options: QueryOptions,
    context: Context,
    batch: int = 100,
) -> list[Campaign]:
    """Every attack with every prior, and the Square Attack without one: it is the strongest that needs none."""
    wanted: list[tuple[Attack, str]] = [(attack, prior) for prior in priors for attack in attacks]
    if NOTHING in priors:
        wanted.append(("square", NOTHING))
    campaigns = []
    for attack, prior in wanted:
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
