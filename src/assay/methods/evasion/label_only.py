"""Attacks by labels alone: the base that runs and judges them, and HopSkipJump."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Oracle
from assay.base.errors import BudgetError, DataError
from assay.base.intervals import Floats, clopper_pearson
from assay.data.images import Subset, drawn
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.evasion.ball import NAMES, Ball, Norm, diameter
from assay.methods.evasion.masking import chance_sign, earned
from assay.methods.evasion.minimum_norm import SLACK, median_distance
from assay.methods.evasion.results import SUCCESS, Labels, among, judged, require_right, size_in_words
from assay.methods.finding import Finding, Lines, Samples, Series
from assay.methods.hop_skip_jump import FEWEST, RESERVE, Walk
from assay.methods.measures import proportion, resampled, within
from assay.methods.method import Context, OracleMethod, method

DECIDING_QUERIES = 10_000
"""Questions about an image from which on finding little is worth something; the paper's figures go to 25,000."""

Ask = Callable[[torch.Tensor], Labels]
"""Images float32 (m, c, h, w) in [0, 1] to labels (m,)."""


class SideBySide(Protocol):
    """Walks that ask once about each image a round.

    ``radius`` float64 (n,) is the distance found so far, ``spent`` int64 (n,) the questions about each image.
    """

    radius: Floats
    spent: NDArray[np.int64]

    def rounds(self) -> Iterator[int]:
        """Go on until the end; how many questions each round took."""
        ...


class Walked(NamedTuple):
    """How far m attacked images of n were from a misclassified one, after ever more questions.

    ``rows``, ``true`` and ``before`` (n,) are rows, labels and answers without attack. ``steps`` hold the mean number
    of questions about an image so far and the distances float64 (m,) by then, infinity where no image was answered
    otherwise; ``queries`` (m,) are all in the end. ``labels_only`` says that the service answers with nothing else.
    """

    rows: NDArray[np.int64]
    true: Labels
    before: Labels
    steps: list[tuple[float, Floats]]
    queries: NDArray[np.int64]
    epsilon: float
    classes: int
    labels_only: bool

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which images are classified correctly before (n,)."""
        return np.equal(self.before, self.true)


class LabelOnly(OracleMethod[Walked]):
    """An attack that sees nothing but the answered class, on the images that the model classifies correctly.

    Images are attacked side by side. A subclass implements `walk`.
    """

    needs = "label"
    norm: ClassVar[Norm]
    """How its changes are measured."""
    parts = ("non_members",)

    max_images: int = Field(
        default=50, ge=1, description="At most so many test images, drawn at random; fewer where the budget ends."
    )
    max_queries: int = Field(default=1000, ge=2, description="The most images that are asked about one image.")
    epsilon: float | None = Field(
        default=None,
        gt=0.0,
        allow_inf_nan=False,
        description="The size within which an adversarial image counts; none: the usual one of the attack's norm.",
    )

    def walk(
        self, oracle: Oracle, test: Subset, before: Labels, epsilon: float, context: Context
    ) -> tuple[list[tuple[float, Floats]], NDArray[np.int64]]:
        """After ever more questions: their mean number, and distances (n,) by then; and all questions (n,) in the end.

        Images that are answered wrongly ``before`` (n,), which has been asked, are not attacked. The distance is
        infinite, or that of the farthest image, where nothing was found.
        """
        raise NotImplementedError

    def recorded(
        self, walk: SideBySide, rows: NDArray[np.int64], count: int, context: Context
    ) -> tuple[list[tuple[float, Floats]], NDArray[np.int64]]:
        """What `walk` returns, of walks of ``rows`` (m,) among ``count`` images, each of which has been asked once."""
        steps, wanted = [], iter(np.unique(np.geomspace(1, self.max_queries, 40).astype(int)))
        mark = next(wanted)
        distance, spent = np.full(count, np.inf), np.ones(count, np.int64)
        with context.progress.step(self.about.title, len(rows) * (self.max_queries - 1)) as bar:
            for number, asked in enumerate(walk.rounds(), start=1):
                bar.advance(asked)
                if number >= mark:
                    mark = next(wanted, self.max_queries)
                    distance[rows] = walk.radius
                    steps.append((1 + float(walk.spent.mean()), distance.copy()))
        distance[rows], spent[rows] = walk.radius, 1 + walk.spent
        steps.append((1 + float(walk.spent.mean()) if len(rows) else 1.0, distance))
        return steps, spent

    def measure(self, access: Oracle, data: Splits, context: Context) -> Walked:
        """Walk until everybody's questions are spent.

        Raises:
            DataError: if test images are missing, or none is classified correctly.
            BudgetError: if the oracle does not allow ``max_queries`` for one image.
            UsageError: if no two images are as far apart as epsilon.
        """
        if data.non_members is None:
            raise DataError(f"{self.about.title} needs test images that the target was not trained on.")
        test = drawn(data.non_members, self._affordable(access), context.generator(f"{self.name}: images"))
        epsilon = Ball.around(test.shape, self.norm, self.epsilon).epsilon
        before = access.ask_all(test, context.progress).labels
        right = before == test.labels
        require_right(right)
        steps, spent = self.walk(access, test, before, epsilon, context)
        farthest = diameter(self.norm, int(np.prod(test.shape)))
        attacked = [(images, np.where(distance < farthest, distance, np.inf)[right]) for images, distance in steps]
        labels_only = access.serving.output == "label"
        return Walked(test.rows, test.labels, before, attacked, spent[right], epsilon, access.num_classes, labels_only)

    def _affordable(self, oracle: Oracle) -> int:
        if oracle.remaining is None:
            return self.max_images
        if oracle.remaining < self.max_queries:
            raise BudgetError(
                f"One image may take {self.max_queries} questions, and the budget leaves {oracle.remaining}."
            )
        return min(self.max_images, oracle.remaining // self.max_queries)

    def account(self, result: Walked, context: Context) -> Finding:
        """Success within the size, which is judged, and the median distance."""
        distance, size = result.steps[-1][1], f"{result.epsilon:g}"
        fooled = distance <= result.epsilon + SLACK
        success = proportion(f"success_at_{size}", f"Success at epsilon {size}", fooled).judged_by(SUCCESS)
        metrics = [
            success,
            median_distance(distance, self.norm),
            resampled("mean_queries", "Mean questions about an image", _mean, result.queries, seed=context.seed),
            proportion("clean_accuracy", "Accuracy without attack", result.right),
        ]
        words = (
            f"An attack by labels alone that {size_in_words(self.norm, result.epsilon)} makes the model err, within "
            f"{self.max_queries:,} questions about each, on {within(success)} of the images that it had right."
        )
        more = "More questions about each image, or evasion.square where the service answers with posteriors,"
        against = chance_sign(result.right, result.classes)
        # Few questions leave the walk far from the nearest point, and posteriors would allow a stronger attack.
        decides = result.labels_only and self.max_queries >= DECIDING_QUERIES
        return Finding(
            metrics=metrics,
            verdict=earned(judged(success, words), against, decides, more),
            figures=[_curve(result, self.about.title, self.norm)],
            samples=Samples(
                result.rows,
                outcomes={
                    success.name: among(result.right, fooled),
                    "mean_queries": among(result.right, result.queries),
                    "clean_accuracy": result.right.astype(np.float64),
                },
                columns={
                    "label": result.true,
                    "predicted": result.before,
                    "distance": among(result.right, distance),
                },
            ),
        )


@method
class HopSkipJump(LabelOnly):
    """Walks along the decision boundary towards each image; the change is measured in L2.

    Each walk starts from the nearest other test image that is answered otherwise,
    which the attacker asks about anyway.
    """

    name = "evasion.hop_skip_jump"
    norm = "l2"
    about = About(
        "HopSkipJump, labels only",
        "Walks along the decision boundary from labels alone; success within a size, and the median distance.",
        "Chen et al., HopSkipJumpAttack: A Query-Efficient Decision-Based Attack, S&P 2020",
        threat_model="Black box, labels only. The attacker asks the service about changed images and sees nothing but "
        "the answered class.",
    )
    presets = {"standard": {}, "full": {"max_images": 200, "max_queries": 10_000}}

    max_queries: int = Field(
        default=1000, ge=1 + RESERVE + FEWEST, description="The most images that are asked about one image."
    )
    directions: int = Field(
        default=50,
        ge=FEWEST,
        description="Labels for the first estimate of the boundary's normal; later ones take more.",
    )

    def walk(
        self, oracle: Oracle, test: Subset, before: Labels, epsilon: float, context: Context
    ) -> tuple[list[tuple[float, Floats]], NDArray[np.int64]]:
        """The paper's walk; ``epsilon`` does not end it."""
        images = test.take(np.arange(len(test)))
        generator, right = context.generator(f"{self.name}: directions"), before == test.labels
        with context.progress.step(self.about.title, int(right.sum()) * self.max_queries) as bar:
            walk = Walk(oracle, images, test.labels, before, self.max_queries, bar)
            steps = [(float(walk.spent[right].mean()), distance) for distance in walk.go(self.directions, generator)]
        return steps, walk.spent


def _curve(result: Walked, name: str, norm: Norm) -> Lines:
    """Success within the size against questions."""
    found = [(images, int((distance <= result.epsilon + SLACK).sum())) for images, distance in result.steps]
    total = len(result.queries)
    bands = [clopper_pearson(count, total) for _, count in found]
    return Lines(
        title="Success against questions",
        caption="Each point is one step of the walk: the share of images with a misclassified one within "
        f"{NAMES[norm]} {result.epsilon:g} by then. Bands are 95 % intervals.",
        x_label="Questions about an image (mean)",
        y_label="Share fooled",
        series=[
            Series(
                name=name,
                x=[images for images, _ in found],
                y=[count / total for _, count in found],
                low=[band.low for band in bands],
                high=[band.high for band in bands],
            )
        ],
    )


def _mean(rows: NDArray[np.int64]) -> Floats:
    return np.asarray(rows.mean(axis=1), dtype=np.float64)
