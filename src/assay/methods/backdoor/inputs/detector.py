"""What the input detectors have in common: whom they judge, by which clean images, and what they report."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Oracle
from assay.base.errors import BudgetError, DataError
from assay.data.images import Images, Subset, drawn
from assay.data.splits import Splits
from assay.methods.backdoor.inputs.calibration import Floats, p_values
from assay.methods.backdoor.inputs.figures import histogram, patch_gallery, patch_table, suspects_gallery
from assay.methods.backdoor.inputs.parts import FEWEST_IMAGES, Parts, Stamped, divide
from assay.methods.backdoor.inputs.results import (
    FALSE_REJECTIONS,
    Judged,
    detector_metrics,
    verdict_on_patches,
    verdict_on_suspects,
)
from assay.methods.backdoor.inputs.search import Searched, questions, search, search_metrics
from assay.methods.finding import Family, Figure, Finding, Metric, Verdict
from assay.methods.method import Context, Method, require_oracle


class Roles(NamedTuple):
    """Images by their role; see `parts.Parts`. ``pool`` (m, c, h, w) is in memory."""

    pool: torch.Tensor
    calibration: Images
    clean: Images
    suspects: Images


class InputDetector(Method):
    """A method that gives every image a measurement, and flags those whose measurement is rare among clean images.

    What is judged are the target's suspects. Where it has none, what is done is ours and none of the papers': square
    patches of three patterns and several sizes are stamped at the corners of clean images. If the best of them beats
    the best that leads to another class by more than on (almost) any clean model, it acts as a trigger. (Clean models
    give way to patches too, some to many, but then to several classes.) In any case the detector's error rates are
    measured on images that carry the best patch. A model is never cleared: triggers of another kind, place or size, or
    for some classes only, are not looked for. No labels of the clean images are used.

    A subclass implements `measure`. ``measured`` says what that is, ``sign`` is -1 where a low value is suspicious.
    """

    family: ClassVar[Family] = "backdoor"
    version: ClassVar[int] = 2
    threat_model: ClassVar[str] = (
        "Somebody who trained the model, or poisoned its training data, may have taught it a trigger that means one "
        "class. The examiner has clean images that the model was not trained on, asks the model about them and, where "
        "there are some, about suspicious ones; the trigger is not known."
    )
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0018.000", "AML.T0043.004")
    parts: ClassVar[tuple[str, ...]] = ("non_members",)
    uses: ClassVar[tuple[str, ...]] = ("suspects",)
    short: ClassVar[str]
    detector: ClassVar[str]
    measured: ClassVar[str]
    sign: ClassVar[int] = 1

    max_images: int = Field(
        default=1000,
        ge=FEWEST_IMAGES,
        description="At most so many clean images are used, for all purposes together, and at most so many suspects.",
    )

    def measure(self, oracle: Oracle, images: Images, pool: torch.Tensor, context: Context, purpose: str) -> Floats:
        """Measurements (n,) of images; ``pool`` (m, c, h, w) are clean images that are not judged.

        ``purpose`` names the images to the reader, and draws randomness of their own.
        """
        raise NotImplementedError

    def questions(self, oracle: Oracle) -> int:
        """Images that `measure` asks about for each image, at most; what is not known beforehand is left out."""
        raise NotImplementedError

    def evidence(self, oracle: Oracle, roles: Roles, judged: Judged, context: Context) -> list[Figure]:
        """More to show of the most suspicious images."""
        return []

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`.

        Raises:
            DataError: if clean images are missing or too few.
            BudgetError: if the budget does not cover what is sure to be asked.
        """
        oracle = require_oracle(access)
        if data.non_members is None:
            raise DataError(f"{self.detector} needs clean images that the target was not trained on.")
        parts = divide(len(data.non_members), self.max_images, context.generator("input detectors: parts"))
        self._check_budget(oracle, parts, data.suspects)
        calibration, clean = (Subset(data.non_members, rows) for rows in (parts.calibration, parts.evaluation))
        pool = data.non_members.take(parts.pool)
        if data.suspects is None:
            found = search(oracle, data.non_members.take(parts.screening), clean, context)
            suspects = Subset(clean, found.others)
            stamped = Stamped(suspects, found.patch.stamp, str(found.patch))
            roles = Roles(pool, calibration, clean, stamped)
            return self._finding(oracle, roles, parts.evaluation, parts.evaluation[found.others], found, context)
        chosen = drawn(data.suspects, self.max_images, context.generator("input detectors: suspects"))
        return self._finding(
            oracle, Roles(pool, calibration, clean, chosen), parts.evaluation, chosen.rows, None, context
        )

    def judge(self, oracle: Oracle, roles: Roles, stamped: bool, context: Context) -> Judged:
        """The suspicion of images of every role; ``stamped`` says that the suspects are known to carry a trigger."""
        calibration, clean, suspects = (
            self.sign * self.measure(oracle, images, roles.pool, context, purpose)
            for images, purpose in (
                (roles.calibration, "calibration images"),
                (roles.clean, "clean images"),
                (roles.suspects, "stamped images" if stamped else "suspicious images"),
            )
        )
        return Judged(self.short, self.detector, self.measured, self.sign, stamped, calibration, clean, suspects)

    def _finding(
        self,
        oracle: Oracle,
        roles: Roles,
        clean_rows: NDArray[np.int64],
        suspect_rows: NDArray[np.int64],
        found: Searched | None,
        context: Context,
    ) -> Finding:
        before = oracle.ledger.images
        judged = self.judge(oracle, roles, found is not None, context)
        metrics = detector_metrics(judged, context.seed)
        metrics.append(_questions_metric(oracle.ledger.images - before, judged))
        verdict: Verdict
        figures: list[Figure] = [histogram(judged, "suspicious" if found is None else f"stamped ({found.patch})")]
        if found is None:
            rate = FALSE_REJECTIONS[-1]
            named = {metric.name: metric for metric in metrics}
            verdict = verdict_on_suspects(
                judged, named[f"{self.short}_flagged_at_{rate:g}"], named[f"{self.short}_frr_at_{rate:g}"]
            )
            figures.append(suspects_gallery(roles.suspects, judged, suspect_rows, context))
        else:
            searched = search_metrics(found, context)
            verdict = verdict_on_patches(found, searched, metrics[0], self.detector, context)
            metrics = [*searched, *metrics]
            figures += [patch_gallery(roles.clean, found, context), patch_table(found, context.class_names)]
        suspect = np.arange(len(clean_rows) + len(suspect_rows)) >= len(clean_rows)
        suspicion = np.concatenate([judged.clean, judged.suspects])
        return Finding(
            metrics=metrics,
            verdict=verdict,
            figures=[*figures, *self.evidence(oracle, roles, judged, context)],
            samples={
                "suspect": suspect,
                "row": np.concatenate([clean_rows, suspect_rows]),
                "measured": self.sign * suspicion,
                "p_value": p_values(suspicion, judged.calibration),
            },
        )

    def _check_budget(self, oracle: Oracle, parts: Parts, suspects: Images | None) -> None:
        judged = len(parts.evaluation)
        others = judged if suspects is None else min(len(suspects), self.max_images)
        needed = questions(oracle, len(parts.screening), judged) if suspects is None else 0
        needed += self.questions(oracle) * (len(parts.calibration) + judged + others)
        if oracle.remaining is not None and oracle.remaining < needed:
            raise BudgetError(
                f"{self.detector} with these options asks about up to {needed:,} images, and the budget leaves "
                f"{oracle.remaining:,}; lower max_images."
            )


def _questions_metric(asked: int, judged: Judged) -> Metric:
    images = len(judged.calibration) + len(judged.clean) + len(judged.suspects)
    return Metric(
        name="questions_per_image",
        label="Images asked per judged image",
        value=asked / images,
        n=images,
        unit="images",
        note="Counted: an image asked twice is asked once. The search among patches is not included.",
    )
