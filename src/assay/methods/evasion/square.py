"""The Square Attack: random squares, kept where they raise the loss."""

from __future__ import annotations

import math

import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.methods.about import About
from assay.methods.evasion.ball import AnyNorm, Ball, unit
from assay.methods.evasion.queries import Ask, QueryOptions, QueryResult, QueryState
from assay.methods.evasion.query_method import DECIDING_QUERIES, QueryMethod
from assay.methods.method import method

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Steps, of 10,000, at which the share of the image that a square covers is halved."""

REDRAWS = 20
"""How often colours that would change nothing are drawn again."""


class SquareOptions(QueryOptions):
    """Options of the Square Attack."""

    norm: AnyNorm = Field(  # type: ignore[assignment]
        default="l2", description="How a change is measured: linf (largest pixel), l2 (length) or l1 (sum)."
    )
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
    state = QueryState(ask, images, labels, options)
    rows = state.open()
    if len(rows):
        state.move(rows, start(state.ball, images[rows], generator))
    number = 1
    while len(rows := state.open()):
        covered = share(options.initial_share, number, options.max_queries)
        candidates = step(state.ball, images[rows], state.points[rows], covered, generator)
        state.move_if_better(rows, candidates)
        number += 1
    return state.result()


def share(initial: float, step: int, steps: int) -> float:
    """The share of the image to change in a step (0 <= step < steps), its schedule stretched to so many steps."""
    passed = step / max(steps, 1) * 10_000
    return float(initial / 2 ** sum(passed > halving for halving in HALVINGS))


def start(ball: Ball, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """First candidates (n, c, h, w): vertical stripes of plus and minus epsilon; else a grid of five by five bumps."""
    n, channels, height, width = images.shape
    if ball.norm == "linf":
        return images + ball.epsilon * _signs((n, channels, 1, width), generator)
    change = torch.zeros_like(images)
    side = max(1, min(height, width) // 5)
    bump = _bump(side, norm=ball.norm)
    tops = range((height % side) // 2, height - side + 1, side)
    lefts = range((width % side) // 2, width - side + 1, side)
    for top in tops:
        for left in lefts:
            change[:, :, top : top + side, left : left + side] = bump * _signs((n, channels, 1, 1), generator)
    # In L1 the bumps keep their height: projecting is what makes the change sparse.
    return images + (change if ball.norm == "l1" else ball.epsilon * unit(change))


def step(
    ball: Ball, images: torch.Tensor, points: torch.Tensor, covered: float, generator: torch.Generator
) -> torch.Tensor:
    """Candidates (m, c, h, w) next to points in the balls around images, changed in squares that cover such a share."""
    if ball.norm == "linf":
        return _step_linf(ball.epsilon, images, points, covered, generator)
    change = _step_bumps(ball, points - images, covered, generator)
    return images + (change if ball.norm == "l1" else ball.epsilon * unit(change))


def _step_linf(
    epsilon: float, images: torch.Tensor, points: torch.Tensor, covered: float, generator: torch.Generator
) -> torch.Tensor:
    """Every channel of a square is set to plus or minus epsilon, drawn again where that changes nothing."""
    m, channels, height, width = points.shape
    side = min(max(1, round(math.sqrt(covered * height * width))), max(1, min(height, width) - 1))
    rows, columns = _squares(m, side, height, width, generator)
    every, channel = torch.arange(m)[:, None, None, None], torch.arange(channels)[:, None, None]
    old, centre = points[every, channel, rows, columns], images[every, channel, rows, columns]
    low, high = (centre - epsilon).clamp_min(0.0), (centre + epsilon).clamp_max(1.0)
    new = old.clone()
    same = torch.arange(m)
    for _ in range(REDRAWS):
        up = _signs((len(same), channels, 1, 1), generator) > 0
        new[same] = torch.where(up, high[same], low[same])
        same = same[((new - old)[same].abs() <= 1e-6).flatten(1).all(dim=1)]
        if not len(same):
            break
    candidates = points.clone()
    candidates[every, channel, rows, columns] = new
    return candidates


def _step_bumps(ball: Ball, change: torch.Tensor, covered: float, generator: torch.Generator) -> torch.Tensor:
    """One square gives up its change and another gains as much, and what is left of epsilon, as a pair of bumps.

    The authors' update: the change keeps its whole length epsilon from step to step, so that nothing of the ball is
    left unused; it only moves within the image. In L1, as in their code, each channel of the square gains what all of
    them would; the projection takes back what is too much.
    """
    order = 1 if ball.norm == "l1" else 2
    m, channels, height, width = change.shape
    smaller = min(height, width)
    side = min(max(3, round(math.sqrt(covered * height * width)) // 2 * 2 + 1), smaller - 1 + smaller % 2)
    place = (torch.arange(m)[:, None, None, None], torch.arange(channels)[:, None, None])
    gains, loses = (_squares(m, side, height, width, generator) for _ in range(2))
    both = torch.zeros((m, 1, height, width))
    for rows, columns in (gains, loses):
        both[place[0], 0, rows, columns] = 1.0
    window = change[(*place, *gains)]
    # What the change has lost to clipping at the pixels' range is spent again, an equal part in every channel.
    used = ball.sizes(change)[:, None, None, None]
    spare = (ball.epsilon**order - used**order).clamp_min(0.0) / channels
    budget = spare + (change * both).abs().pow(order).sum(dim=(2, 3), keepdim=True)
    budget = budget * channels if order == 1 else budget.sqrt()
    bumps = _bump_pair(m, side, generator, ball.norm) * _signs((m, channels, 1, 1), generator)
    # The square's own change is kept in direction, at unit length, so that a good place is refined and not redrawn.
    fresh = bumps + window / _plane_lengths(window, order)
    changed = change.clone()
    changed[(*place, *loses)] = 0.0
    changed[(*place, *gains)] = fresh / _plane_lengths(fresh, order) * budget
    return changed


def _squares(
    count: int, side: int, height: int, width: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Row numbers (count, 1, side, 1) and column numbers (count, 1, 1, side) of random squares."""
    top = torch.randint(0, height - side + 1, (count, 1, 1, 1), generator=generator)
    left = torch.randint(0, width - side + 1, (count, 1, 1, 1), generator=generator)
    return top + torch.arange(side)[:, None], left + torch.arange(side)


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.randint(0, 2, shape, generator=generator) * 2.0 - 1.0


def _plane_lengths(rows: torch.Tensor, order: int) -> torch.Tensor:
    """L1 or L2 norms of every channel (m, c, 1, 1)."""
    found: torch.Tensor = torch.linalg.vector_norm(rows, ord=order, dim=(2, 3), keepdim=True)
    return found.clamp_min(1e-12)


def _bump(height: int, width: int | None = None, norm: AnyNorm = "l2") -> torch.Tensor:
    """A pyramid of norm 1 (height, width): at ring r around the middle the sum of 1/j^2 (L1: 1/j^4) for j above r."""
    power, order = (4, 1) if norm == "l1" else (2, 2)
    wide = width or height
    middle = (height // 2, wide // 2)
    ring = torch.maximum(
        (torch.arange(height) - middle[0]).abs()[:, None], (torch.arange(wide) - middle[1]).abs()[None]
    )
    rings = max(middle) + 1
    sums = torch.tensor([sum(1 / j**power for j in range(r + 1, rings + 1)) for r in range(rings + 1)])
    heights = sums[ring]
    found: torch.Tensor = heights / torch.linalg.vector_norm(heights, ord=order)
    return found


def _bump_pair(count: int, side: int, generator: torch.Generator, norm: AnyNorm) -> torch.Tensor:
    """Upward and downward bumps side by side, (count, 1, side, side), of norm 1 in all, half of them turned."""
    upper = side // 2
    pair = torch.cat([_bump(upper, side, norm), -_bump(side - upper, side, norm)])
    pair = pair / (2 if norm == "l1" else math.sqrt(2))
    turned = torch.rand((count, 1, 1, 1), generator=generator) > 0.5
    return torch.where(turned, pair.T, pair)


@method
class Square(QueryMethod, SquareOptions):
    """The Square Attack: no gradient is estimated, one question is asked a step."""

    name = "evasion.square"
    about = About(
        "Square Attack",
        "Changes random squares of an image and keeps what helps; success and questions.",
        "Andriushchenko et al., Square Attack: a query-efficient black-box adversarial attack via random search, 2020",
    )
    presets = {"standard": {}, "full": {"max_images": 1000, "max_queries": DECIDING_QUERIES}}

    norm: AnyNorm = Field(  # type: ignore[assignment]
        default="linf", description="How a change is measured: linf (largest pixel), l2 (length) or l1 (sum)."
    )

    def attack(
        self,
        ask: Ask,
        images: torch.Tensor,
        labels: torch.Tensor,
        prior: WhiteBox | None,
        generator: torch.Generator,
    ) -> QueryResult:
        """The Square Attack with these options."""
        return square(ask, images, labels, self, generator)

    @property
    def decides(self) -> bool:
        """With as many questions as in the published AutoAttack."""
        return self.max_queries >= DECIDING_QUERIES
