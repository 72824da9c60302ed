"""Membership inference from the distance to the decision boundary, found from labels alone under a strict budget."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Oracle
from assay.base.intervals import auc_bounds, delong_auc
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding, Lines, Series
from assay.methods.hop_skip_jump import FEWEST, RESERVE, Walk
from assay.methods.membership.attack import MembershipMethod, Population
from assay.methods.membership.augmentation import images_metric
from assay.methods.membership.results import (
    accuracies,
    auc_metric,
    blind_metrics,
    gap_metrics,
    histogram,
    low_rate_metrics,
    roc_figure,
    samples_of,
)
from assay.methods.membership.roc import Scores
from assay.methods.membership.verdict import verdict
from assay.methods.method import Context, method


class Reached(NamedTuple):
    """How far the walk has come: mean ``images`` asked about each sample, and the ``scores`` of members and others."""

    images: float
    scores: Scores


class Walked(NamedTuple):
    """The walk of everybody, step by step, and the images ``spent`` on each, int64 (n,), members first."""

    people: Population
    reached: list[Reached]
    spent: NDArray[np.int64]


@method
class Boundary(MembershipMethod[Walked]):
    """The boundary-distance attack of Choquette-Choo et al.: how far a sample must be changed before its label is.

    The score is HopSkipJump's L2 distance (`hop_skip_jump`), 0 for a sample that is classified wrongly. Samples walk
    side by side, so that one request asks about all of them, and nobody is asked about more than
    ``queries_per_sample`` times. Few questions give distances that are too large; the picture of AUC against questions
    shows whether more would help.
    """

    name = "membership.boundary"
    needs = "label"
    novel_inputs = True
    about = About(
        title="Label-only membership inference (distance to the boundary)",
        summary="Scores a sample by how much must be changed before its label does (HopSkipJump).",
        paper="Choquette-Choo et al., Label-Only Membership Inference Attacks, 2021",
        threat_model="Black box, labels only, a limited number of questions about each sample. The attacker has "
        "samples with their true labels. It trains nothing and knows no member.",
    )
    presets = {
        "standard": {},
        "full": {"max_members": 500, "max_non_members": 500, "queries_per_sample": 1000},
    }

    modalities = ("image", "vector")

    max_members: int | None = Field(
        default=100, ge=2, description="At most so many members are judged, drawn at random; none: all of them."
    )
    max_non_members: int | None = Field(
        default=100, ge=2, description="At most so many non-members are judged, drawn at random; none: all of them."
    )
    queries_per_sample: int = Field(
        default=250, ge=1 + RESERVE + FEWEST, description="The most images that are asked about one sample."
    )
    directions: int = Field(
        default=50,
        ge=FEWEST,
        description="Labels for the first estimate of the boundary's normal; later ones take more.",
    )

    def measure(self, access: Oracle, data: Splits, context: Context) -> Walked:
        """Distances to the boundary after every step of the walk.

        Raises:
            DataError: as `MembershipMethod.ask`.
            BudgetError: as `MembershipMethod.ask`.
        """
        people = self.ask(access, data, context, questions=self.queries_per_sample)
        sources = zip((data.members, data.non_members), people.parts, strict=True)
        images = torch.cat([source.take(part.rows) for source, part in sources if source])
        labels = np.concatenate([part.labels for part in people.parts])
        predicted = np.concatenate([part.answers.labels for part in people.parts])
        members = len(people.members.rows)
        reached: list[Reached] = []
        with context.progress.step("walking to the boundary", len(images) * self.queries_per_sample) as step:
            walk = Walk(access, images, labels, predicted, self.queries_per_sample, step)
            reached.extend(
                Reached(float(walk.spent.mean()), (found[:members], found[members:]))
                for found in walk.go(self.directions, context.generator("membership.boundary"))
            )
        return Walked(people, reached, walk.spent)

    def account(self, result: Walked, context: Context) -> Finding:
        people, reached, spent = result
        scores = reached[-1].scores
        auc = auc_metric("boundary_distance", scores, people.note)
        cost = images_metric(float(spent.mean()), f"The mean; {spent.max()} at most for any of them.")
        return Finding(
            metrics=[
                auc,
                *gap_metrics(*people.right, people.note),
                *low_rate_metrics(scores, context.seed),
                cost,
                *blind_metrics(people.blind),
            ],
            verdict=verdict(auc, scores, people.blind),
            figures=[
                _progress(reached),
                roc_figure({"boundary_distance": scores}),
                histogram(
                    scores,
                    np.linspace(0, max(*(float(part.max()) for part in scores), 1e-6), 31),
                    "Distance to the decision boundary",
                    "Wrongly classified samples have distance 0.",
                    "L2 distance, pixels or features in [0, 1]",
                ),
            ],
            samples=samples_of(
                people,
                {"boundary_distance": scores},
                {**accuracies(*people.right), "images_per_sample": spent.astype(np.float64)},
            ),
        )


def _progress(reached: list[Reached]) -> Lines:
    """AUC against questions, with DeLong's intervals."""
    aucs = [delong_auc(*point.scores) for point in reached]
    bands = [auc_bounds(auc) for auc in aucs]
    return Lines(
        title="What more questions bring",
        caption="Each point is one step of the walk: the AUC of the distances known by then, and its 95 % interval.",
        x_label="Images asked per sample (mean)",
        y_label="AUC",
        series=[
            Series(
                name="boundary distance",
                x=[point.images for point in reached],
                y=[auc.value for auc in aucs],
                low=[band.low for band in bands],
                high=[band.high for band in bands],
            )
        ],
    )
