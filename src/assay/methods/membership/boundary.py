"""Membership inference from the distance to the decision boundary, found from labels alone under a strict budget."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field

from assay.base.intervals import auc_bounds, delong_auc
from assay.data.splits import Splits
from assay.methods.finding import Finding, Lines, Series
from assay.methods.membership.attack import MembershipMethod
from assay.methods.membership.augmentation import images_metric
from assay.methods.membership.hop_skip_jump import FEWEST, RESERVE, Walk
from assay.methods.membership.results import (
    Scores,
    auc_metric,
    gap_metrics,
    histogram,
    low_rate_metrics,
    roc_figure,
    verdict,
)
from assay.methods.method import Context, Need, Preset, method, require_oracle


class Reached(NamedTuple):
    """How far the walk has come: mean ``images`` asked about each sample, and the ``scores`` of members and others."""

    images: float
    scores: Scores


@method
class Boundary(MembershipMethod):
    """The boundary-distance attack of Choquette-Choo et al.: how far a sample must be changed before its label is.

    The score is HopSkipJump's L2 distance (`hop_skip_jump`), 0 for a sample that is classified wrongly. Samples walk
    side by side, so that one request asks about all of them, and nobody is asked about more than
    ``queries_per_sample`` times. Few questions give distances that are too large; the picture of AUC against questions
    shows whether more would help.
    """

    name: ClassVar[str] = "membership.boundary"
    needs: ClassVar[Need] = "label"
    novel_inputs: ClassVar[bool] = True
    title: ClassVar[str] = "Label-only membership inference (distance to the boundary)"
    summary: ClassVar[str] = "Scores a sample by how much must be changed before its label does (HopSkipJump)."
    threat_model: ClassVar[str] = (
        "Black box, labels only, a limited number of questions about each sample. The attacker has samples with their "
        "true labels. It trains nothing and knows no member."
    )
    paper: ClassVar[str] = "Choquette-Choo et al., Label-Only Membership Inference Attacks, 2021"
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {
        "standard": {},
        "full": {"max_members": 500, "max_non_members": 500, "queries_per_sample": 1000},
    }

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

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`."""
        oracle = require_oracle(access)
        people = self.ask(access, data, context, questions=self.queries_per_sample)
        parts = (people.members, people.non_members)
        images = torch.cat([source.take(part.rows) for source, part in zip(data[:2], parts, strict=True) if source])
        labels = np.concatenate([part.labels for part in parts])
        predicted = np.concatenate([part.answers.labels for part in parts])
        members = len(people.members.rows)
        reached = []
        with context.progress.step("walking to the boundary", len(images) * self.queries_per_sample) as step:
            walk = Walk(oracle, images, labels, predicted, self.queries_per_sample, step)
            for found in walk.go(self.directions, context.generator("membership.boundary")):
                distances = found
                reached.append(Reached(float(walk.spent.mean()), (found[:members], found[members:])))
        scores = reached[-1].scores
        auc = auc_metric("boundary_distance", scores, people.note)
        right = [part.answers.labels == part.labels for part in parts]
        cost = images_metric(float(walk.spent.mean()), f"The mean; {walk.spent.max()} at most for any of them.")
        return Finding(
            metrics=[
                auc,
                *gap_metrics(right[0], right[1], people.note),
                *low_rate_metrics(scores, context.seed),
                cost,
            ],
            verdict=verdict(auc, scores),
            figures=[
                _progress(reached),
                roc_figure({"boundary_distance": scores}),
                histogram(
                    scores,
                    np.linspace(0, max(float(distances.max()), 1e-6), 31),
                    "Distance to the decision boundary",
                    "Wrongly classified samples have distance 0.",
                    "L2 distance, pixels in [0, 1]",
                ),
            ],
            samples={**people.columns(), "distance": distances, "images": walk.spent},
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
