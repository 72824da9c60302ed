"""Membership inference from labels of altered copies: a member is classified correctly however it is moved."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch.nn.functional import affine_grid, grid_sample, pad

from assay.access import Oracle
from assay.base.progress import Step
from assay.data.images import Images
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding, Metric, Table
from assay.methods.measures import percent
from assay.methods.membership.attack import MembershipMethod, Part, Population
from assay.methods.membership.mlp_attack import RECIPE, known_and_judged, learned_scores, positions
from assay.methods.membership.results import (
    accuracies,
    auc_metric,
    blind_metrics,
    gap_metrics,
    low_rate_metrics,
    roc_figure,
    samples_of,
)
from assay.methods.membership.roc import Scores
from assay.methods.membership.verdict import verdict
from assay.methods.method import Context, method

Alteration = Callable[[torch.Tensor], torch.Tensor]

BATCH = 256
"""Samples of one request."""


class CopyScores(NamedTuple):
    """Scores, by name, of the half that was judged, whose positions are ``judged`` int64 (k,), members first.

    ``right`` bool (m, copies) and (n, copies) says of all members and non-members which copies get the true label, the
    sample itself first; ``copies`` names them.
    """

    people: Population
    scores: dict[str, Scores]
    judged: NDArray[np.int64]
    right: list[NDArray[np.bool_]]
    copies: list[str]


@method
class Augmentation(MembershipMethod[CopyScores]):
    """The augmentation attack of Choquette-Choo et al.: which copies of a sample are classified correctly.

    Copies are the sample itself, mirrored, moved to every place that is ``shift`` pixels away (|i| + |j| = shift,
    4 x shift copies) and turned both ways by ``rotation``; the border is repeated. ``augmentation`` is the score of a
    network trained, as in the paper, on these bits: of one half of the samples, whose membership it is told; the other
    half is judged. (The paper trains one for each class on a shadow model's bits; here it is one, `mlp_attack`'s.)
    ``augmentation_count`` is the number of right answers, for which no membership need be known. The verdict rests on
    the first, chosen beforehand.
    """

    name = "membership.augmentation"
    needs = "label"
    novel_inputs = True
    about = About(
        title="Label-only membership inference (augmented copies)",
        summary="Scores a sample by which of its mirrored, moved and turned copies get the right label.",
        paper="Choquette-Choo et al., Label-Only Membership Inference Attacks, 2021",
        threat_model="Black box, labels only, with partial knowledge. The attacker has samples with their true labels, "
        "knows of half of them whether they were trained on, gets the labels for all of them and their copies, and "
        "judges the other half.",
    )
    presets = {"standard": {}, "full": {"max_members": None, "max_non_members": None}}

    max_members: int | None = Field(
        default=1000, ge=2, description="At most so many members are judged, drawn at random; none: all of them."
    )
    max_non_members: int | None = Field(
        default=1000, ge=2, description="At most so many non-members are judged, drawn at random; none: all of them."
    )
    mirror: bool = Field(default=True, description="Ask about the mirror image, left for right.")
    shift: int = Field(default=1, ge=0, description="Pixels that copies are moved by; 0: none are.")
    rotation: float = Field(default=4.0, ge=0, lt=180, description="Degrees that copies are turned by; 0: none are.")

    def alterations(self) -> dict[str, Alteration]:
        """What is done to a sample, by name: each takes and gives images float32 (n, c, h, w) in [0, 1]."""
        made: dict[str, Alteration] = {"mirrored": partial(torch.flip, dims=(-1,))} if self.mirror else {}
        for down, right in _places(self.shift):
            made[f"moved {down:+d} down, {right:+d} right"] = partial(moved, down=down, right=right)
        for degrees in (-self.rotation, self.rotation) if self.rotation else ():
            made[f"turned {degrees:+g} degrees"] = partial(turned, degrees=degrees)
        return made

    def measure(self, access: Oracle, data: Splits, context: Context) -> CopyScores:
        """Which copies of everybody get the right label, and scores of the half that was not known.

        Raises:
            DataError: as `known_and_judged` and `MembershipMethod.ask`.
            BudgetError: as `MembershipMethod.ask`.
        """
        alterations = self.alterations()
        people = self.ask(access, data, context, questions=1 + len(alterations))
        parts = zip((data.members, data.non_members), people.parts, strict=True)
        total = len(alterations) * sum(len(part.rows) for part in people.parts)
        with context.progress.step("asking about altered copies", total) as step:
            right = [_right(access, images, part, list(alterations.values()), step) for images, part in parts if images]
        halves = known_and_judged(people, context, self.name)
        known, judged = (
            [part[half[i]].astype(np.float32) for part, half in zip(right, halves, strict=True)] for i in (0, 1)
        )
        learned = learned_scores(
            (known[0], known[1]), (judged[0], judged[1]), recipe=RECIPE, seed=context.seed, device=context.device,
            progress=context.progress,
        )  # fmt: skip
        counts = (judged[0].sum(axis=1, dtype=np.float64), judged[1].sum(axis=1, dtype=np.float64))
        scores = {"augmentation": learned, "augmentation_count": counts}
        kept = positions(people, halves[0][1], halves[1][1])
        return CopyScores(people, scores, kept, right, ["as it is", *alterations])

    def account(self, result: CopyScores, context: Context) -> Finding:
        """See `OracleMethod.account`."""
        people, scores, judged, right, copies = result
        aucs = [auc_metric(name, pair, people.note) for name, pair in scores.items()]
        count = int((judged < len(right[0])).sum())
        plain = np.concatenate([part[:, 0] for part in right])[judged]
        itself = (plain[:count], plain[count:])
        return Finding(
            metrics=[
                *aucs,
                *gap_metrics(*itself, people.note),
                *low_rate_metrics(scores["augmentation"], context.seed),
                images_metric(len(copies), "Exact: the sample itself and its copies."),
                *blind_metrics(people.blind),
            ],
            verdict=verdict(aucs[0], scores["augmentation"], people.blind),
            figures=[roc_figure(scores), _by_copy(right, copies)],
            samples=samples_of(people, scores, accuracies(*itself), kept=judged),
        )


def images_metric(each: float, note: str) -> Metric:
    """What the attack costs: images asked for each sample."""
    return Metric(name="images_per_sample", label="Images asked per sample", value=each, unit="images", note=note)


def moved(images: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Images (n, c, h, w) moved by whole pixels; what is uncovered repeats the border."""
    height, width = images.shape[-2:]
    by = max(abs(down), abs(right))
    wide = pad(images, (by, by, by, by), mode="replicate")
    return wide[..., by - down : by - down + height, by - right : by - right + width]


def turned(images: torch.Tensor, degrees: float) -> torch.Tensor:
    """Images (n, c, h, w) turned about their centre, anticlockwise, bilinear; what is uncovered repeats the border."""
    height, width = images.shape[-2:]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = torch.tensor([[cosine, -sine * height / width, 0.0], [sine * width / height, cosine, 0.0]])
    grid = affine_grid(matrix.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False).clamp(0.0, 1.0)


def _by_copy(right: list[NDArray[np.bool_]], names: list[str]) -> Table:
    return Table(
        title="Right answers by copy",
        caption="Where members keep their label and non-members lose it, the copy tells them apart.",
        columns=["copy", "members", "non-members"],
        rows=[[name, *(percent(float(part[:, i].mean())) for part in right)] for i, name in enumerate(names)],
    )


def _places(shift: int) -> list[tuple[int, int]]:
    """Where a copy can be moved by |down| + |right| = shift pixels; nowhere if that is 0."""
    rows = [(down, shift - abs(down)) for down in range(-shift, shift + 1)] if shift else []
    return [(down, right) for down, most in rows for right in sorted({-most, most})]


def _right(oracle: Oracle, images: Images, part: Part, alterations: list[Alteration], step: Step) -> NDArray[np.bool_]:
    """Which copies get the true label, bool (n, 1 + alterations), the sample itself first."""
    right = np.empty((len(part.rows), 1 + len(alterations)), dtype=np.bool_)
    right[:, 0] = part.answers.labels == part.labels
    for start in range(0, len(part.rows), BATCH):
        at = slice(start, start + BATCH)
        samples = images.take(part.rows[at])
        for i, alter in enumerate(alterations, start=1):
            right[at, i] = oracle.ask(alter(samples)).labels == part.labels[at]
            step.advance(len(samples))
    return right
