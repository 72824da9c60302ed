"""Attacks that look for the nearest misclassified image: the base that runs them and accounts for the distances."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import binom

from assay.access import WhiteBox
from assay.base.errors import DataError
from assay.base.intervals import Floats, clopper_pearson
from assay.data.images import Subset, batches, drawn
from assay.data.splits import Splits
from assay.methods.evasion.ball import NAMES, AnyNorm, Ball, Norm, usual_epsilon
from assay.methods.evasion.fixed_epsilon import IMAGES, Kept, finite
from assay.methods.evasion.gradients import BATCH, predictions
from assay.methods.evasion.masking import Checks, chance_sign, check_metrics, earned, signs, what_decides
from assay.methods.evasion.results import (
    LOW_SUCCESS,
    POINTS,
    SUCCESS,
    Labels,
    Shown,
    among,
    gallery,
    judged,
    require_right,
    size_in_words,
)
from assay.methods.evasion.scrutiny import CHECKED, look_closer
from assay.methods.finding import Finding, Interval, Lines, Metric, Samples, Series
from assay.methods.measures import proportion, within
from assay.methods.method import Context, WhiteBoxMethod

SLACK = 1e-6
"""What rounding may add to a distance that is compared with an epsilon."""


class Distances(NamedTuple):
    """How far n test images are from being misclassified.

    ``rows``, ``true`` and ``before`` (n,) are rows, labels and predictions without attack; ``distance`` float64 (m,) is
    of those classified correctly, infinity where the attack found nothing. ``after`` (k,) are the predictions of the
    images in ``shown``, ``channels`` those of the images, ``classes`` those of the network. ``checks`` are None where
    the attack found enough.
    """

    rows: NDArray[np.int64]
    true: Labels
    before: Labels
    distance: Floats
    shown: Shown
    after: Labels
    channels: int
    checks: Checks | None
    classes: int

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which images are classified correctly before (n,)."""
        return np.equal(self.before, self.true)


class MinimumNorm(WhiteBoxMethod[Distances]):
    """An untargeted attack that looks for the smallest change of each image that the model classifies correctly.

    A subclass implements `attack`. What it returns is clipped to [0, 1] and asked about; only what is misclassified
    then counts, at its distance from the image. So no size has to be chosen: accuracy at every size comes from one run.
    """

    parts = ("non_members",)

    norm: Norm = Field(default="l2", description="How a change is measured: linf (largest pixel) or l2 (length).")
    max_images: int = Field(default=1000, ge=1, description="At most so many test images, drawn at random.")

    def attack(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """For each image float32 (n, c, h, w) the nearest misclassified one found; labels int64 (n,).

        All lie on ``box.device``; the generator is one of the CPU.
        """
        raise NotImplementedError

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> Distances:
        """Attack test images and measure how far each had to be changed.

        Raises:
            DataError: if test images are missing, or none is classified correctly.
            AccessError: if there are no gradients, or they are not finite.
        """
        if data.non_members is None:
            raise DataError(f"{self.about.title} needs test images that the target was not trained on.")
        test = drawn(data.non_members, self.max_images, context.generator(IMAGES))
        before = np.concatenate([predictions(access, batch.images) for batch in batches(test, BATCH)])
        require_right(before == test.labels)
        distance, shown = self._attack_all(access, test, np.flatnonzero(before == test.labels), context)
        after = predictions(access, shown.changed)
        right = before == test.labels
        checks = self._check(access, test, np.flatnonzero(right), distance, context)
        classes = access.num_classes
        return Distances(test.rows, test.labels, before, distance, shown, after, test.shape[0], checks, classes)

    def _check(
        self, box: WhiteBox, test: Subset, targets: NDArray[np.int64], distance: Floats, context: Context
    ) -> Checks | None:
        """Look for signs of masked gradients, where few images fall at the usual size."""
        ball = Ball(self.norm, usual_epsilon(self.norm, test.shape[0]))
        fooled = distance <= ball.epsilon + SLACK
        if clopper_pearson(int(fooled.sum()), len(fooled)).low > LOW_SUCCESS or fooled.all():
            return None
        rows = targets[~fooled][:CHECKED]
        images, labels = test.take(rows).to(box.device), torch.from_numpy(test.labels[rows]).to(box.device)
        return look_closer(box, images, labels, ball, context.generator(f"{self.name}: checks"))

    def _attack_all(
        self, box: WhiteBox, test: Subset, targets: NDArray[np.int64], context: Context
    ) -> tuple[Floats, Shown]:
        generator, kept, found = context.generator(f"{self.name}: start"), Kept(), []
        with context.progress.step(self.about.title, len(targets)) as bar:
            for start in range(0, len(targets), BATCH):
                rows = targets[start : start + BATCH]
                images = test.take(rows).to(box.device)
                labels = torch.from_numpy(test.labels[rows]).to(box.device)
                changed = finite(self.attack(box, images, labels, generator).detach(), images).clamp(0.0, 1.0)
                fooled = predictions(box, changed) != test.labels[rows]
                sizes = Ball(self.norm, 0.0).sizes(changed - images).double().cpu().numpy()
                found.append(np.where(fooled, sizes, np.inf))
                kept.add(rows, images, changed, fooled)
                bar.advance(len(rows))
        return np.concatenate(found), kept.shown()

    def account(self, result: Distances, context: Context) -> Finding:
        """The median distance, accuracy against distance, and success at the usual size, which is judged."""
        epsilon = usual_epsilon(self.norm, result.channels)
        within_reach = result.distance <= epsilon + SLACK
        standing = among(result.right, ~within_reach)
        success = proportion(f"success_at_{epsilon:g}", f"Success at epsilon {epsilon:g}", within_reach)
        metrics = [
            success.judged_by(SUCCESS),
            median_distance(result.distance, self.norm),
            proportion(
                f"accuracy_at_{epsilon:g}", f"Accuracy under attack at epsilon {epsilon:g}", np.nan_to_num(standing) > 0
            ),
            proportion("found", "Images for which some adversarial image was found", np.isfinite(result.distance)),
            proportion("clean_accuracy", "Accuracy without attack", result.right),
        ]
        checks = result.checks or Checks()
        against = signs(checks) + chance_sign(result.right, result.classes)
        metrics += check_metrics(checks)
        words = f"An attack with the network in hand that {size_in_words(self.norm, epsilon)} makes the model err on"
        shown = result.shown
        before = result.before[shown.places]
        return Finding(
            metrics=metrics,
            # A search from one start, however good, is one attack: it is for an ensemble to say that nothing is found.
            verdict=earned(
                judged(metrics[0], f"{words} {within(metrics[0])} of the images that it had right."),
                against,
                decides=False,
                decider=what_decides(against, ensemble=False),
            ),
            figures=[
                distance_curve(result, self.norm),
                gallery(shown.clean, shown.changed, before, result.after, None, context),
            ],
            samples=self._samples(result, within_reach, epsilon),
        )

    def _samples(self, result: Distances, within_reach: NDArray[np.bool_], epsilon: float) -> Samples:
        right = result.right
        outcomes = {
            f"success_at_{epsilon:g}": among(right, within_reach),
            f"accuracy_at_{epsilon:g}": np.nan_to_num(among(right, ~within_reach)),
            "found": among(right, np.isfinite(result.distance)),
            "clean_accuracy": right.astype(np.float64),
        }
        columns = {"label": result.true, "predicted": result.before, "distance": among(right, result.distance)}
        return Samples(result.rows, outcomes=outcomes, columns=columns)


def median_distance(distance: Floats, norm: AnyNorm, level: float = 0.95) -> Metric:
    """The median of distances (m,), failures counting as infinitely far, with an interval from order statistics.

    The interval is distribution-free: the number of distances below the true median is binomial with 1/2.
    """
    name, label, m = "median_distance", f"Median distance to a misclassified image ({NAMES[norm]})", len(distance)
    ordered = np.sort(distance)
    value = float((ordered[(m - 1) // 2] + ordered[m // 2]) / 2)
    if not np.isfinite(value):
        note = "The attack found no adversarial image for half of the images."
        return Metric(name=name, label=label, value=None, n=m, note=note)
    below = int(binom.ppf((1 - level) / 2, m, 0.5)) - 1
    if below < 0 or not np.isfinite(ordered[m - 1 - below]):
        note = "No interval: too few images, or the attack failed on too many of them."
        return Metric(name=name, label=label, value=value, n=m, note=note)
    low, high = float(ordered[below]), float(ordered[m - 1 - below])
    interval = Interval(low=low, high=high, level=level, method="order statistics")
    return Metric(name=name, label=label, value=value, interval=interval, n=m)


def distance_curve(result: Distances, norm: AnyNorm) -> Lines:
    """Accuracy against the size of the change, with Clopper-Pearson bands."""
    finite, total = np.sort(result.distance[np.isfinite(result.distance)]), len(result.true)
    grid = np.concatenate([[0.0], np.unique(np.quantile(finite, np.linspace(0, 1, POINTS)))]) if len(finite) else [0.0]
    counts = [int((result.distance > size).sum()) for size in grid]
    bands = [clopper_pearson(count, total) for count in counts]
    return Lines(
        title="Accuracy against the size of the change",
        caption="The share of all test images that are classified correctly and have no misclassified image within "
        "that distance that the attack could find. Bands are 95 % intervals.",
        x_label=f"Distance ({NAMES[norm]}, pixels span 0 to 1)",
        y_label="Accuracy",
        series=[
            Series(
                name="attack",
                x=[float(size) for size in grid],
                y=[count / total for count in counts],
                low=[band.low for band in bands],
                high=[band.high for band in bands],
            )
        ],
    )
