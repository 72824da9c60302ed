"""Similarity: the owner compares the model with a sibling before anybody attacks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.base.errors import DataError
from assay.data.images import Subset, drawn
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.evasion.ball import Ball, Norm
from assay.methods.evasion.results import judged, size_in_words
from assay.methods.finding import Finding, Samples
from assay.methods.measures import within
from assay.methods.method import Context, WhiteBoxMethod, method
from assay.methods.siblings.comparison import (
    Compared,
    Pair,
    compare,
    similarity_metrics,
    similarity_outcomes,
    similarity_table,
)
from assay.methods.siblings.options import SIBLING, SiblingText


class SimilarityResult(NamedTuple):
    """A comparison on test images with a sibling of some name; adversarial images stay in the ball."""

    sibling: str
    test: Subset
    ball: Ball
    compared: Compared


@method
class Similarity(WhiteBoxMethod[SimilarityResult]):
    """The owner compares the model with a sibling: labels, posteriors, input gradients, features, and transfer."""

    name = "siblings.similarity"
    about = About(
        title="Similarity of a sibling",
        summary="Compares the model with its sibling: labels, input gradients, features, transfer.",
        paper="After Publishing Efficient On-device Models Increases Adversarial Vulnerability, SaTML 2023 (arXiv "
        "2212.13700), whose own formulas of similarity are not known here; alignment by Kornblith et al., ICML 2019",
        threat_model="White box of both. The owner asks before anybody attacks: what fools the sibling, which "
        "everybody may open, will it fool the model too?",
        atlas=("AML.T0043.002",),
    )
    parts = ("non_members",)
    uses = ("members", "auxiliary")
    presets = {"standard": {}, "full": {"max_images": 2000}}

    sibling: SiblingText = SIBLING
    max_images: int = Field(default=500, ge=1, description="At most so many test images, drawn at random.")
    norm: Norm = Field(default="l2", description="How a change is measured: linf (largest pixel) or l2 (length).")
    epsilon: float | None = Field(
        default=None,
        gt=0.0,
        allow_inf_nan=False,
        description="The largest change that adversarial images may have, pixels in [0, 1]; none: the usual one.",
    )

    def companions(self) -> dict[str, str]:
        """The sibling."""
        return {"sibling": self.sibling}

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> SimilarityResult:
        """Compare the pair on test images.

        Raises:
            DataError: if test images are missing, or none is classified correctly by both.
        """
        sibling = context.companions["sibling"]
        if data.non_members is None:
            raise DataError("Similarity needs test images that the target was not trained on.")
        test = drawn(data.non_members, self.max_images, context.generator("similarity: images"))
        images, labels = test.take(np.arange(len(test))), torch.from_numpy(test.labels)
        ball = Ball.around(access.input_shape, self.norm, self.epsilon)
        context.progress.say(f"comparing with {sibling.name}")
        compared = compare(Pair(access, sibling, images, labels), ball)
        return SimilarityResult(sibling.name, test, ball, compared)

    def account(self, result: SimilarityResult, context: Context) -> Finding:
        """All measures; judged is the transfer from the sibling to the model, as an evasion attack is."""
        metrics = similarity_metrics(result.compared, context.seed)
        named = {metric.name: metric for metric in metrics}
        transfer, size = named["transfer_to_target"], size_in_words(result.ball.norm, result.ball.epsilon)
        sentence = (
            f"Of the images that both classify correctly, {within(transfer)} fool the model once an attack that "
            f"{size} fooled its sibling; they agree on {within(named['agreement'])}."
        )
        outcomes = similarity_outcomes(result.compared)
        return Finding(
            metrics=metrics,
            verdict=judged(transfer, sentence),
            figures=[similarity_table({result.sibling: metrics})],
            samples=Samples(result.test.rows, outcomes=outcomes, columns={"label": result.test.labels}),
        )
