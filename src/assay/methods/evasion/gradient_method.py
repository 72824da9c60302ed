"""What iterative attacks with the network in hand have in common: options, and how they are run and judged."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, model_validator

from assay.access import WhiteBox
from assay.base.errors import DataError
from assay.data.images import Shape, Subset, batches, drawn
from assay.data.splits import Splits
from assay.methods.evasion.ball import Ball, Norm, usual_epsilon
from assay.methods.evasion.gradients import BATCH, predictions
from assay.methods.evasion.losses import GradientLoss
from assay.methods.evasion.results import Attacked, accuracy_curve, columns, evasion_metrics, examples, to_show, verdict
from assay.methods.finding import Family, Finding
from assay.methods.method import Context, Method, Need, require_white_box

USUAL_LINF = (0.01, 0.03, 0.1)
"""SecurityNet's epsilons."""

SHARES_L2 = (0.25, 0.5, 1.0)
"""What is tried of the usual epsilon in the L2 norm."""


class GradientMethod(Method):
    """An untargeted attack on the test images that the model classifies correctly, at several sizes.

    An image that errs at one size counts at every larger one and is not attacked again.
    """

    family: ClassVar[Family] = "evasion"
    needs: ClassVar[Need] = "white-box"
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0015", "AML.T0043.000")
    parts: ClassVar[tuple[str, ...]] = ("non_members",)
    threat_model: ClassVar[str] = (
        "White box. The attacker has the network (it runs on a device, say, or is public) and changes an image a "
        "little, step by step, so that it is misclassified, whatever the wrong class."
    )

    norm: Norm = Field(default="linf", description="How a change is measured: linf (largest pixel) or l2 (length).")
    epsilons: tuple[float, ...] | None = Field(
        default=None,
        min_length=1,
        description="Largest changes that are tried, pixels in [0, 1]; none: 0.01, 0.03, 0.1 (linf) or 1/4, 1/2, all "
        "of 0.5 (l2; grey images 1.5).",
    )
    steps: int = Field(default=10, ge=1, le=10_000, description="Steps along the gradient.")
    loss: GradientLoss = Field(default="cross-entropy", description="What is raised: margin, cross-entropy or dlr.")
    max_images: int = Field(default=1000, ge=1, description="At most so many test images, drawn at random.")

    @model_validator(mode="after")
    def _within_range(self) -> GradientMethod:
        for epsilon in self.epsilons or ():
            if not 0.0 < epsilon < float("inf") or (self.norm == "linf" and epsilon > 1.0):
                raise ValueError(f"epsilon {epsilon:g} is not above 0 and, in the linf norm, at most 1")
        return self

    def attack(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, ball: Ball, generator: torch.Generator
    ) -> torch.Tensor:
        """Images (n, c, h, w) inside the balls around ``images``, to be misclassified; labels int64 (n,)."""
        raise NotImplementedError

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`.

        Raises:
            DataError: if test images are missing, or none is classified correctly.
            UsageError: if no two images are as far apart as an epsilon.
            AccessError: if there are no gradients, or they are not finite.
        """
        box = require_white_box(access)
        if data.non_members is None:
            raise DataError("This attack needs test images that the target was not trained on.")
        test = drawn(data.non_members, self.max_images, context.generator(f"{self.name}: images"))
        balls = self._balls(test.shape)
        before = np.concatenate([predictions(box, batch.images) for batch in batches(test, BATCH)])
        attacked = Attacked(
            test.shape[0],
            test.labels,
            before,
            {ball.epsilon: before.copy() for ball in balls},
            {ball.epsilon: before.copy() for ball in balls},
            self.norm,
        )
        shown = self._attack_all(box, test, balls, attacked, context)
        metrics = evasion_metrics(attacked)
        rows = to_show(attacked)
        adversarial = torch.stack([shown[row] for row in rows])
        return Finding(
            metrics=metrics,
            verdict=verdict(metrics, attacked, "An attack with the network in hand"),
            figures=[
                accuracy_curve(metrics, attacked),
                examples(test.take(rows), adversarial, attacked, rows, context),
            ],
            samples=columns(test.rows, attacked),
        )

    def _balls(self, shape: Shape) -> list[Ball]:
        chosen = self.epsilons
        if chosen is None:
            usual = usual_epsilon("l2", shape[0])
            chosen = USUAL_LINF if self.norm == "linf" else tuple(share * usual for share in SHARES_L2)
        return [Ball.around(shape, self.norm, epsilon) for epsilon in sorted(set(chosen))]

    def _attack_all(
        self, box: WhiteBox, test: Subset, balls: list[Ball], attacked: Attacked, context: Context
    ) -> dict[int, torch.Tensor]:
        """Fills in the answers; gives the adversarial images at the deciding epsilon by row."""
        generator = context.generator(f"{self.name}: start")
        noise = context.generator(f"{self.name}: noise")
        targets = np.flatnonzero(attacked.right)
        found: dict[int, torch.Tensor] = {}
        with context.progress.step(self.about.title, len(targets)) as bar:
            for start in range(0, len(targets), BATCH):
                rows = targets[start : start + BATCH]
                images, labels = test.take(rows), torch.from_numpy(test.labels[rows])
                points, standing = images.clone(), np.ones(len(rows), dtype=bool)
                for ball in balls:
                    left = np.flatnonzero(standing)
                    if len(left):
                        points[left] = self.attack(box, images[left], labels[left], ball, generator)
                    attacked.after[ball.epsilon][rows] = predictions(box, points)
                    standing = attacked.after[ball.epsilon][rows] == test.labels[rows]
                    noisy = ball.project(
                        images + ball.epsilon * ball.steepest(torch.randn(images.shape, generator=noise)), images
                    )
                    attacked.noisy[ball.epsilon][rows] = predictions(box, noisy)
                    if ball.epsilon == attacked.deciding:
                        found.update(zip(rows.tolist(), points.clone(), strict=True))
                bar.advance(len(rows))
        return found
