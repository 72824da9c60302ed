"""The Square Attack: random squares, kept where they raise the loss."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.methods.evasion.ball import Norm
from assay.methods.evasion.queries import Ask, Hunt, QueryOptions, QueryResult
from assay.methods.evasion.query_method import QueryMethod
from assay.methods.evasion.square_steps import share, start, step
from assay.methods.method import Preset, method


class SquareOptions(QueryOptions):
    """Options of the Square Attack."""

    initial_share: float = Field(
        default=0.8, gt=0.0, le=1.0, description="The share of the image that a square covers at first (the paper's p)."
    )


def square(
    ask: Ask, images: torch.Tensor, labels: torch.Tensor, options: SquareOptions, generator: torch.Generator
) -> QueryResult:
    """The Square Attack on images float32 (n, c, h, w) and their labels int64 (n,).

    Andriushchenko, Croce, Flammarion and Hein, "Square Attack: a query-efficient black-box adversarial attack via
    random search", ECCV 2020. Each step asks one question about every image that is left. The schedule of sizes is
    stretched to the number of questions.
    """
    hunt = Hunt(ask, images, labels, options)
    rows = hunt.open()
    if len(rows):
        hunt.go(rows, start(hunt.ball, images[rows], generator))
    number = 1
    while len(rows := hunt.open()):
        covered = share(options.initial_share, number, options.max_queries)
        candidates = step(hunt.ball, images[rows], hunt.points[rows], covered, generator)
        hunt.go_if_better(rows, candidates)
        number += 1
    return hunt.result()


@method
class Square(QueryMethod, SquareOptions):
    """The Square Attack: no gradient is estimated, one question is asked a step."""

    name: ClassVar[str] = "evasion.square"
    title: ClassVar[str] = "Square Attack"
    summary: ClassVar[str] = "Changes random squares of an image and keeps what helps; success and questions."
    paper: ClassVar[str] = (
        "Andriushchenko et al., Square Attack: a query-efficient black-box adversarial attack via random search, 2020"
    )
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {"standard": {}, "full": {"max_images": 1000}}

    norm: Norm = Field(default="linf", description="How a change is measured: linf (largest pixel) or l2 (length).")

    def attack(
        self,
        ask: Ask,
        images: torch.Tensor,
        labels: torch.Tensor,
        prior: WhiteBox | None,
        generator: torch.Generator,
    ) -> QueryResult:
        """See `QueryMethod.attack`."""
        return square(ask, images, labels, self, generator)
