"""AutoAttack: several attacks one after the other, the worst case for each image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.data.images import Shape
from assay.methods.about import About
from assay.methods.evasion.ascent import apgd
from assay.methods.evasion.averaging import Averaged, varying
from assay.methods.evasion.ball import AnyNorm, Ball, usual_epsilon
from assay.methods.evasion.fab import fab, likeliest
from assay.methods.evasion.fixed_epsilon import Evaded, FixedEpsilon, Tried
from assay.methods.evasion.gradients import predictions
from assay.methods.evasion.losses import Loss, cross_entropy, dlr, targeted_dlr
from assay.methods.evasion.masking import Checks
from assay.methods.evasion.sparse_ascent import shrinking_apgd
from assay.methods.evasion.square import SquareOptions, square
from assay.methods.finding import Finding, Table
from assay.methods.measures import proportion
from assay.methods.method import Context, method
from assay.methods.work import Sizes, Work

Part = Literal["apgd-ce", "apgd-dlr", "apgd-t", "fab-t", "square"]

STANDARD: tuple[Part, ...] = ("apgd-ce", "apgd-t", "fab-t", "square")
"""The published ensemble."""


LOSS: dict[Part, Loss] = {"apgd-ce": cross_entropy, "apgd-dlr": dlr, "apgd-t": targeted_dlr}


RESTARTS_L1, TARGETS_L1 = 5, 5
"""Random starts of untargeted APGD, and target classes of the targeted one, as the authors' code has them in L1."""


class Run(NamedTuple):
    """One attack of the ensemble: its part, and which of the likeliest wrong classes, or of its starts (from 0)."""

    part: Part
    target: int = 0


@method
class AutoAttack(FixedEpsilon):
    """The published ensemble of parameter-free attacks; an image that one of them fools leaves.

    Options are those of the paper unless a preset says otherwise. Where a network answers the same image differently
    from one time to the next, gradients and logits are averaged over several answers.
    """

    name = "evasion.autoattack"
    about = About(
        "AutoAttack, white box",
        "APGD on two losses, FAB and the Square Attack, the worst case for each image; success rate per epsilon.",
        "Croce and Hein, Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free "
        "attacks, ICML 2020; in L1 Croce and Hein, Mind the box: l1-APGD for sparse adversarial attacks on image "
        "classifiers, ICML 2021",
    )
    presets = {
        "quick": {"max_images": 128, "attacks": ("apgd-dlr", "square"), "steps": 20, "queries": 100},
        "standard": {"max_images": 200, "steps": 30, "targets": 3, "fab_steps": 20, "queries": 500},
        "full": {"max_images": 1000},
    }
    cross_checked = False  # the ensemble holds APGD and the Square Attack

    norm: AnyNorm = Field(  # type: ignore[assignment]
        default="linf", description="How a change is measured: linf (largest pixel), l2 (length) or l1 (sum)."
    )
    max_images: int = Field(default=200, ge=1, description="At most so many test images, drawn at random.")
    attacks: tuple[Part, ...] = Field(default=STANDARD, min_length=1, description="What is run, in this order.")
    steps: int = Field(default=100, ge=1, le=10_000, description="Steps of APGD.")
    restarts: int | None = Field(
        default=None, ge=1, description="Random starts of apgd-ce and apgd-dlr; none: as published, 1, in l1 5."
    )
    targets: int = Field(default=9, ge=1, description="Target classes of apgd-t and fab-t, the likeliest wrong ones.")
    fab_steps: int = Field(default=100, ge=1, le=10_000, description="Steps of FAB.")
    queries: int = Field(default=5000, ge=1, description="Questions of the Square Attack about an image.")

    @property
    def decides(self) -> bool:
        """With a loss that does not saturate, and an attack that needs no gradient."""
        return "square" in self.attacks and bool({"apgd-dlr", "apgd-t"} & set(self.attacks))

    def balls(self, shape: Shape) -> list[Ball]:
        """The usual size alone, unless sizes are given."""
        if self.epsilons is not None:
            return super().balls(shape)
        return [Ball.around(shape, self.norm, usual_epsilon(self.norm, shape[0]))]

    def attack_sizes(
        self,
        box: WhiteBox,
        images: torch.Tensor,
        labels: torch.Tensor,
        balls: Sequence[Ball],
        generator: torch.Generator,
    ) -> Iterator[Tried]:
        """The ensemble at each size, and which part fooled each image."""
        followed = Averaged(box) if bool(varying(box, images).any()) else box
        order = likeliest(followed.logits(images), labels, self.targets)
        points, stage = images.clone(), np.full(len(images), -1, np.int64)
        for ball in balls:
            for run in self._runs(order.shape[1]):
                left = torch.from_numpy(np.flatnonzero(stage < 0)).to(images.device)
                if not len(left):
                    break
                # Restarts have numbers of their own, beyond the classes perhaps, and no target.
                target = order[left, run.target if run.part in ("apgd-t", "fab-t") else 0]
                found = self._attack(run, followed, images[left], labels[left], target, ball, generator)
                fooled = followed.logits(found).argmax(dim=1) != labels[left]
                points[left[fooled]] = found[fooled]
                stage[left[fooled].cpu().numpy()] = self.attacks.index(run.part)
            yield Tried(points, predictions(box, points), stage=stage.copy())

    def work(self, sizes: Sizes) -> Work | None:
        """What is usual of networks without a defence: most images err at the smallest size or the next.

        Measured for an image: 2 gradients and 6 questions on ResNet-20 (CIFAR-10), 12 and 58 on a network of digits.
        """
        images = min(self.max_images, sizes.non_members)
        runs = self._runs(min(self.targets, max(sizes.classes - 1, 1)))
        ascents = sum(run.part.startswith("apgd") for run in runs)
        if ascents < len(runs) - ("square" in self.attacks):
            return None  # fab stops when it likes
        questions = 0.15 * self.queries if "square" in self.attacks else 0.0
        return Work(forwards=images * (5 + questions), gradients=0.3 * images * self.steps * ascents)

    def _runs(self, targets: int) -> list[Run]:
        return [
            Run(part, target) for part in dict.fromkeys(self.attacks) for target in range(self._repeats(part, targets))
        ]

    def _repeats(self, part: Part, targets: int) -> int:
        """How often a part is run: towards so many target classes, or from so many starts."""
        if part == "apgd-t" and self.norm == "l1":
            return min(targets, TARGETS_L1)
        if part in ("apgd-t", "fab-t"):
            return targets
        return 1 if part == "square" else self.restarts or (RESTARTS_L1 if self.norm == "l1" else 1)

    def _attack(
        self,
        run: Run,
        box: WhiteBox,
        images: torch.Tensor,
        labels: torch.Tensor,
        target: torch.Tensor,
        ball: Ball,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Images (n, c, h, w) inside the balls after one attack."""
        if run.part == "square":
            options = SquareOptions(norm=ball.norm, epsilon=ball.epsilon, max_queries=self.queries)
            return square(box.logits, images.cpu(), labels.cpu(), options, generator).adversarial.to(images.device)
        if run.part == "fab-t":
            found, distance = fab(box, images, labels, target, ball.norm, steps=self.fab_steps, enough=ball.epsilon)
            return torch.where((distance <= ball.epsilon)[:, None, None, None], found, images)
        towards = target if run.part == "apgd-t" else None
        if ball.norm == "l1":
            return shrinking_apgd(
                box, images, labels, ball,
                generator=generator, steps=self.steps, loss=LOSS[run.part], targets=towards,
            )  # fmt: skip
        start = ball.inside(images, generator)
        return apgd(box, images, labels, ball, start=start, steps=self.steps, loss=LOSS[run.part], targets=towards)

    def checks(self, result: Evaded) -> Checks:
        """As every attack's; the Square Attack is one of the ensemble's own parts."""
        checks = super().checks(result)
        if result.checks is None or result.stage is None or "square" not in self.attacks:
            return checks
        by_square = result.stage == self.attacks.index("square")
        reached = by_square | (result.stage < 0)
        return checks._replace(black_box=by_square[reached]) if reached.any() else checks

    def account(self, result: Evaded, context: Context) -> Finding:
        """As every attack's, with what each part of the ensemble fooled."""
        finding = super().account(result, context)
        if result.stage is None:
            return finding
        metrics, rows = list(finding.metrics), []
        for part in dict.fromkeys(self.attacks):
            number = self.attacks.index(part)
            share = proportion(
                f"fell_to_{part.replace('-', '_')}", f"Images that fell to {part}", result.stage == number
            )
            metrics.append(share)
            rows.append([part, int((result.stage == number).sum()), share.value])
        table = Table(
            title="What each attack fooled",
            caption=f"At epsilon {result.attacked.deciding:g}, of {len(result.stage)} images classified correctly. "
            "Each attack is given what those before it left standing.",
            columns=["attack", "images", "share"],
            rows=rows,
        )
        return finding.model_copy(update={"metrics": metrics, "figures": [*finding.figures, table]})
