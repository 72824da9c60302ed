"""Attacks of a fixed size with the network in hand: the base that draws images, runs an attack and accounts for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from assay.access import WhiteBox
from assay.base.errors import DataError
from assay.base.intervals import clopper_pearson
from assay.data.images import Shape, Subset, batches, drawn
from assay.data.splits import Splits
from assay.methods.evasion.ball import Ball, Norm, usual_epsilon
from assay.methods.evasion.gradients import BATCH, predictions
from assay.methods.evasion.masking import Checks, chance_sign, check_metrics, earned, signs, what_decides
from assay.methods.evasion.results import (
    EXAMPLES,
    LOW_SUCCESS,
    Attacked,
    Labels,
    Shown,
    accuracy_curve,
    evasion_metrics,
    evasion_samples,
    examples,
    require_right,
    verdict,
)
from assay.methods.evasion.scrutiny import CHECKED, farthest, look_closer
from assay.methods.finding import Finding
from assay.methods.measures import proportion
from assay.methods.method import Context, WhiteBoxMethod

USUAL_LINF = (0.01, 0.03, 0.1)
"""SecurityNet's epsilons."""

SHARES_L2 = (0.25, 0.5, 1.0)
"""What is tried of the usual epsilon in the L2 norm."""

# One stream for all attacks with the network in hand: they draw the same images, so that two of them, and two models,
# can be compared image by image. FGSM was the first, and its stored numbers hold under its name.
IMAGES, NOISE = "fgsm: images", "fgsm: noise"

Sizes = Annotated[tuple[float, ...], Field(min_length=1), AfterValidator(lambda sizes: tuple(sorted(set(sizes))))]
"""Sizes of a perturbation, ascending."""


class Tried(NamedTuple):
    """Images float32 (n, c, h, w) after an attack, the network's labels (n,) of them, and what else was seen.

    ``vanished`` bool (n,) says which had no gradient to follow, ``stage`` int64 (n,) which part of an ensemble fooled
    each, -1 none; None where that was not looked at.
    """

    images: torch.Tensor
    labels: Labels
    vanished: NDArray[np.bool_] | None = None
    stage: NDArray[np.int64] | None = None


class Evaded(NamedTuple):
    """What an attack did: labels by epsilon; at the deciding one images to show, and what `Tried` says of all m.

    ``checks`` tell a network that withstands from one whose gradients mislead; None where the attack found enough.
    ``classes`` is the number of the network's classes.
    """

    attacked: Attacked
    shown: Shown
    vanished: NDArray[np.bool_] | None
    stage: NDArray[np.int64] | None
    checks: Checks | None
    classes: int


class FixedEpsilon(WhiteBoxMethod[Evaded]):
    """An untargeted attack on the test images that the model classifies correctly, at several sizes.

    A subclass implements `attack`. An image that errs at one size counts at every larger one and is not attacked again.
    Tensors lie on the network's device from the start; random numbers are drawn on the CPU and moved.
    """

    parts = ("non_members",)

    unbounded: ClassVar[bool] = True
    """Whether it must succeed on nearly every image where any change is allowed, which is checked."""

    cross_checked: ClassVar[bool] = True
    """Whether APGD and the Square Attack are tried on images that it leaves standing, where it finds little."""

    norm: Norm = Field(default="linf", description="How a change is measured: linf (largest pixel) or l2 (length).")
    epsilons: Sizes | None = Field(
        default=None,
        description="Largest changes that are tried, pixels in [0, 1]; none: 0.01, 0.03, 0.1 (linf) or 1/4, 1/2, all "
        "of 0.5 (l2; grey images 1.5) or of 12 (l1, where it is offered; grey images 10).",
    )
    max_images: int = Field(default=1000, ge=1, description="At most so many test images, drawn at random.")

    @model_validator(mode="after")
    def _within_range(self) -> FixedEpsilon:
        for epsilon in self.epsilons or ():
            if not 0.0 < epsilon < float("inf") or (self.norm == "linf" and epsilon > 1.0):
                raise ValueError(f"epsilon {epsilon:g} is not above 0 and, in the linf norm, at most 1")
        return self

    def attack(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, ball: Ball, generator: torch.Generator
    ) -> torch.Tensor:
        """Images (n, c, h, w) inside the balls around ``images``, to be misclassified; labels int64 (n,).

        All lie on ``box.device``; the generator is one of the CPU. What leaves the ball is brought back into it.
        """
        raise NotImplementedError

    def attack_sizes(
        self,
        box: WhiteBox,
        images: torch.Tensor,
        labels: torch.Tensor,
        balls: Sequence[Ball],
        generator: torch.Generator,
    ) -> Iterator[Tried]:
        """What `attack` makes of images at each size, ascending; those that err already stay as they are."""
        points, standing = images.clone(), torch.ones(len(images), dtype=torch.bool)
        wanted = labels.cpu().numpy()
        for ball in balls:
            left = torch.nonzero(standing)[:, 0].to(images.device)
            if len(left):
                changed = finite(self.attack(box, images[left], labels[left], ball, generator), images[left])
                points[left] = ball.project(changed, images[left])
            found = predictions(box, points)
            standing = torch.from_numpy(found == wanted)
            yield Tried(points, found)

    def balls(self, shape: Shape) -> list[Ball]:
        """The sizes to try on images (c, h, w), ascending.

        Raises:
            UsageError: if no two images are as far apart as an epsilon.
        """
        chosen = self.epsilons
        if chosen is None:
            usual = usual_epsilon(self.norm, shape[0])
            chosen = USUAL_LINF if self.norm == "linf" else tuple(share * usual for share in SHARES_L2)
        return [Ball.around(shape, self.norm, epsilon) for epsilon in chosen]

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> Evaded:
        """Attack test images at every size.

        Raises:
            DataError: if test images are missing, or none is classified correctly.
            UsageError: if no two images are as far apart as an epsilon.
            AccessError: if there are no gradients, or they are not finite.
        """
        if data.non_members is None:
            raise DataError(f"{self.about.title} needs test images that the target was not trained on.")
        test = drawn(data.non_members, self.max_images, context.generator(IMAGES))
        balls = self.balls(test.shape)
        before = np.concatenate([predictions(access, batch.images) for batch in batches(test, BATCH)])
        require_right(before == test.labels)
        after, noisy = ({ball.epsilon: before.copy() for ball in balls} for _ in range(2))
        attacked = Attacked(test.shape[0], test.labels, before, after, noisy, self.norm, test.rows)
        shown, deciding = self._attack_all(access, test, balls, attacked, context)
        vanished = [tried.vanished for tried in deciding if tried.vanished is not None]
        stages = [tried.stage for tried in deciding if tried.stage is not None]
        return Evaded(
            attacked,
            shown,
            np.concatenate(vanished) if vanished else None,
            np.concatenate(stages) if stages else None,
            self._check(access, test, attacked, context),
            access.num_classes,
        )

    def _attack_all(
        self, box: WhiteBox, test: Subset, balls: list[Ball], attacked: Attacked, context: Context
    ) -> tuple[Shown, list[Tried]]:
        """Fill in the labels under attack and under noise; what was seen at the deciding size, batch by batch."""
        generator, noise = context.generator(f"{self.name}: start"), context.generator(NOISE)
        targets = np.flatnonzero(attacked.right)
        kept, deciding = Kept(), []
        with context.progress.step(self.about.title, len(targets)) as bar:
            for start in range(0, len(targets), BATCH):
                rows = targets[start : start + BATCH]
                images = test.take(rows).to(box.device)
                labels = torch.from_numpy(test.labels[rows]).to(box.device)
                sizes = self.attack_sizes(box, images, labels, balls, generator)
                for ball, tried in zip(balls, sizes, strict=True):
                    attacked.after[ball.epsilon][rows] = tried.labels
                    attacked.noisy[ball.epsilon][rows] = predictions(box, ball.surface(images, noise))
                    if ball.epsilon == attacked.deciding:
                        kept.add(rows, images, tried.images, tried.labels != test.labels[rows])
                        deciding.append(tried._replace(images=tried.images[:0]))
                bar.advance(len(rows))
        return kept.shown(), deciding

    def _check(self, box: WhiteBox, test: Subset, attacked: Attacked, context: Context) -> Checks | None:
        """Look for signs of masked gradients, where the success rate is not clearly above what is low."""
        fooled = attacked.fooled(attacked.after, attacked.deciding)
        if clopper_pearson(int(fooled.sum()), len(fooled)).low > LOW_SUCCESS or fooled.all():
            return None
        rows = np.flatnonzero(attacked.right)[~fooled][:CHECKED]
        images = test.take(rows).to(box.device)
        labels = torch.from_numpy(test.labels[rows]).to(box.device)
        ball, generator = Ball(self.norm, attacked.deciding), context.generator(f"{self.name}: checks")

        def control(box: WhiteBox, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return next(iter(self.attack_sizes(box, images, labels, [farthest(ball, images)], generator))).images

        context.progress.say(f"{self.about.title}: looking for signs of masked gradients")
        checks = look_closer(
            box,
            images,
            labels,
            ball,
            generator,
            control=control if self.unbounded else None,
            others=self.cross_checked,
        )
        noise = attacked.fooled(attacked.noisy, attacked.deciding)
        return checks._replace(beaten_by_noise=noise & ~fooled)

    def checks(self, result: Evaded) -> Checks:
        """What speaks for or against a low success rate."""
        return result.checks or Checks()

    @property
    def decides(self) -> bool:
        """Whether this is the strongest attack with the network in hand, so that finding little is worth something."""
        return False

    def account(self, result: Evaded, context: Context) -> Finding:
        """Success and accuracy by size, judged at the usual one."""
        metrics = evasion_metrics(result.attacked)
        if result.vanished is not None:
            metrics.append(proportion("vanishing_gradients", "Attacked images without a gradient", result.vanished))
        checks = self.checks(result)
        metrics += check_metrics(checks)
        against = signs(checks) + chance_sign(result.attacked.right, result.classes)
        judged = verdict(metrics, result.attacked, "An attack with the network in hand")
        return Finding(
            metrics=metrics,
            verdict=earned(judged, against, self.decides, what_decides(against, not self.cross_checked)),
            figures=[accuracy_curve(metrics, result.attacked), examples(result.shown, result.attacked, context)],
            samples=evasion_samples(result.attacked),
        )


def finite(changed: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """``changed`` (n, c, h, w), with the image itself wherever an attack made a pixel that is no number."""
    whole = torch.isfinite(changed).flatten(1).all(dim=1)
    return torch.where(whole[:, None, None, None], changed, images)


class Kept:
    """A few images to show, fooled ones first, without keeping all of them."""

    def __init__(self) -> None:
        self._kinds: dict[bool, list[tuple[int, torch.Tensor, torch.Tensor]]] = {True: [], False: []}

    def add(
        self, rows: NDArray[np.int64], clean: torch.Tensor, changed: torch.Tensor, fooled: NDArray[np.bool_]
    ) -> None:
        """Look at a batch of images (m, c, h, w) in ``rows`` (m,)."""
        for kind, some in self._kinds.items():
            for place in np.flatnonzero(fooled == kind)[: EXAMPLES - len(some)]:
                some.append((int(rows[place]), clean[place].cpu(), changed[place].cpu().clone()))

    def shown(self) -> Shown:
        """What is to be shown, at least one image."""
        chosen = [*self._kinds[True], *self._kinds[False]][:EXAMPLES]
        rows, clean, changed = zip(*chosen, strict=True)
        return Shown(np.array(rows), torch.stack(clean), torch.stack(changed))
