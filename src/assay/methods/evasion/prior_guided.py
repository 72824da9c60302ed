"""Random gradient-free estimates of a gradient, guided by a surrogate's: RGF and P-RGF.

Cheng, Dong, Pang, Su and Zhu, "Improving black-box adversarial attacks with a transfer-based prior", NeurIPS 2019.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.methods.about import About
from assay.methods.evasion.ball import unit
from assay.methods.evasion.losses import margin
from assay.methods.evasion.prior import PRIOR_THREAT, PriorMethod
from assay.methods.evasion.queries import Ask, QueryOptions, QueryResult, QueryState
from assay.methods.evasion.query_method import QueryMethod
from assay.methods.method import method
from assay.methods.stealing.basic import BasicStealing

NORM_EVERY = 10
"""Steps after which the gradient's length is estimated anew, as in the paper's code; also at step `NORM_ALSO`."""

NORM_ALSO = 3

ENERGY_GAIN = 3.5
"""The share of a gradient's energy that lies in the coarse subspace, over that of a random vector."""


class RgfOptions(QueryOptions):
    """Options of RGF and P-RGF."""

    directions: int = Field(default=20, ge=1, description="Random directions asked about in one step (the paper's q).")
    step: float = Field(default=0.2, gt=0.0, le=2.0, description="Length of a step, as a share of epsilon.")
    width: float = Field(
        default=1e-4, gt=0.0, le=0.1, description="Size of a finite difference, root mean square over the pixels."
    )
    norm_directions: int = Field(
        default=4,
        ge=1,
        description="Random directions that tell the gradient's length (with a prior); 10 in the paper.",
    )
    coarse_side: int | None = Field(
        default=None,
        ge=1,
        description="Data prior: random directions are coarse images of this side, enlarged; none: without.",
    )


def lambda_star(alpha: torch.Tensor, directions: int, dimension: int, energy: float | None = None) -> torch.Tensor:
    """The best weight (n,) in [0, 1] of a prior, given its cosine ``alpha`` in [0, 1] (n,) with the true gradient.

    For ``directions`` q and ``dimension`` D, the paper's closed form. With a data prior, ``dimension`` is its
    subspace's d and ``energy`` the share A^2 in (0, 1] of the gradient's energy in it; that formula is the one that the
    authors' code has had since it was corrected in September 2023.
    """
    q, d, a = directions, dimension, alpha.double() ** 2
    if energy is None:
        inner = (1 - a) * (1 - a * (d + 2 * q - 2)) / (a**2 * d * (d + 2 * q - 2) - 2 * a * d * q + 1)
        low, high = 1 / (d + 2 * q - 2), (2 * q - 1) / (d + 2 * q - 2)
    else:
        inner = energy * (energy - a * (d + 2 * q - 2)) / (energy**2 + a**2 * d**2 - 2 * energy * a * (q + d * q - 1))
        low, high = energy / (d + 2 * q - 2), energy * (2 * q - 1) / d
    return torch.where(a <= low, 0.0, torch.where(a >= high, 1.0, inner)).to(alpha.dtype)


def sample(count: int, like: torch.Tensor, coarse_side: int | None, generator: torch.Generator) -> torch.Tensor:
    """Random unit directions (count, n, c, h, w) for images (n, c, h, w); with a data prior coarse ones, enlarged."""
    if coarse_side is None:
        return unit(torch.randn((count, *like.shape), generator=generator))
    n, channels, height, width = like.shape
    coarse = torch.randn((count * n, channels, coarse_side, coarse_side), generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="nearest")
    return unit(fine.view(count, *like.shape))


def guided(random: torch.Tensor, prior: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Unit directions (q, n, c, h, w) around unit priors (n, c, h, w) with weights lambda (n,)."""
    share = _wide(weight)
    across = random - (random * prior).sum(dim=(-3, -2, -1), keepdim=True) * prior
    return share.sqrt() * prior + (1 - share).sqrt() * unit(across)


def p_rgf(
    ask: Ask,
    images: torch.Tensor,
    labels: torch.Tensor,
    prior: WhiteBox | None,
    options: RgfOptions,
    generator: torch.Generator,
) -> QueryResult:
    """P-RGF with the best lambda (algorithm 1) on images float32 (n, c, h, w) and their labels int64 (n,).

    Without a prior RGF. Each step asks along the surrogate's gradient, about random directions unless lambda is 1, and
    about the point it leads to; a step that the questions left do not allow is made with fewer directions. What differs
    from the paper's code: images go side by side; the margin is raised instead of the cross-entropy; at the surface of
    an L2 ball all directions are taken along it, for the projection undoes the rest and a prior that points out of the
    ball would look good for ever; a difference too small to change the answer doubles for the next step, at no
    question's cost.
    """
    state = QueryState(ask, images, labels, options)
    least = options.width * math.sqrt(images[0].numel())
    width = torch.full((len(images),), least)
    norms = torch.zeros(len(images))
    step = 0
    while len(rows := state.open(need=2)):
        ascent, weight = torch.zeros_like(images[rows]), torch.zeros(len(rows))
        if prior is not None:
            ascent, rise = _prior(state, prior, rows, width[rows])
            if step % NORM_EVERY == 0 or step == NORM_ALSO:
                norms[rows] = _norm(state, rows, width[rows], options.norm_directions, generator)
            alpha = (rise / norms[rows].clamp_min(1e-12)).clamp_max(1.0)
            weight = lambda_star(alpha, options.directions, *_space(images, options.coarse_side))
        sampled = torch.nonzero(weight < 1)[:, 0]
        random = sample(options.directions, ascent[sampled], options.coarse_side, generator)
        random = guided(state.tangent(rows[sampled], random), ascent[sampled], weight[sampled])
        slopes, _ = state.slopes(rows[sampled], random, width[rows[sampled]], keep=1)
        flat = (slopes == 0).all(dim=0)
        ascent[sampled[~flat]] = (_wide(slopes) * random).mean(dim=0)[~flat]
        width[rows] = (width[rows] / 2).clamp_min(least)
        width[rows[sampled[flat]]] *= 4
        moving = (ascent != 0).flatten(1).any(dim=1)
        moved = state.points[rows] + options.step * state.ball.epsilon * state.ball.steepest(ascent)
        state.move(rows[moving], moved[moving])
        step += 1
    return state.result()


def _prior(
    state: QueryState, prior: WhiteBox, rows: torch.Tensor, width: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The surrogate's unit gradients, turned to where the target's loss rises, and that rise (m,): one question."""
    labels = state.labels[rows].to(prior.device)
    gradients, _ = prior.gradient(state.points[rows], lambda logits: margin(logits, labels))
    gradients = unit(state.tangent(rows, gradients))
    slopes, _ = state.slopes(rows, gradients[None], width, keep=1)
    turned = torch.where(slopes[0] < 0, -1.0, 1.0)
    return _wide(turned) * gradients, slopes[0].abs()


def _norm(
    state: QueryState, rows: torch.Tensor, width: torch.Tensor, count: int, generator: torch.Generator
) -> torch.Tensor:
    """Lengths (m,) of the target's gradient from random directions, whose mean squared slope is length^2 / D."""
    random = unit(state.tangent(rows, sample(count, state.points[rows], None, generator)))
    slopes, asked = state.slopes(rows, random, width, keep=1)
    mean = (slopes**2).sum(dim=0) / asked.sum(dim=0).clamp_min(1)
    return (mean * random[0, 0].numel()).sqrt()


def _space(images: torch.Tensor, coarse_side: int | None) -> tuple[int, float | None]:
    """Dimension of the space that random directions come from, and the gradient's energy in it (None: all of it)."""
    pixels = images[0].numel()
    if coarse_side is None:
        return pixels, None
    dimension = images.shape[1] * coarse_side**2
    return dimension, min(1.0, ENERGY_GAIN * dimension / pixels)


def _wide(numbers: torch.Tensor) -> torch.Tensor:
    """One number an image, shaped to multiply images."""
    return numbers[..., None, None, None]


@method
class Rgf(QueryMethod, RgfOptions):
    """RGF: the gradient is estimated from differences along random directions."""

    name = "evasion.rgf"
    about = About(
        "RGF, estimated gradients",
        "Estimates the gradient from questions along random directions; success and questions.",
        "Cheng et al., Improving black-box adversarial attacks with a transfer-based prior, 2019",
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
        """RGF with these options."""
        return p_rgf(ask, images, labels, None, self, generator)


@method
class PRgf(PriorMethod, RgfOptions):
    """P-RGF: random directions lean towards the surrogate's gradient, as far as it proves right."""

    name = "evasion.p_rgf"
    about = About(
        "P-RGF through a stolen surrogate",
        "Estimates the gradient from questions, guided by a stolen surrogate; success and questions.",
        "Cheng et al., Improving black-box adversarial attacks with a transfer-based prior, 2019",
        threat_model=PRIOR_THREAT,
    )
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
        """P-RGF with these options."""
        return p_rgf(ask, images, labels, prior, self, generator)
