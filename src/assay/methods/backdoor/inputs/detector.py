"""What the input detectors have in common: whom they judge, by which clean images, and what they report."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Oracle
from assay.base.errors import BudgetError, DataError
from assay.base.intervals import Floats
from assay.data.images import Images, Subset, drawn
from assay.data.splits import Splits
from assay.methods.backdoor.inputs.blocking import Region
from assay.methods.backdoor.inputs.figures import (
    histogram,
    patch_gallery,
    patch_table,
    region_gallery,
    suspects_gallery,
)
from assay.methods.backdoor.inputs.parts import FEWEST_IMAGES, Parts, Stamped, divide
from assay.methods.backdoor.inputs.results import (
    FALSE_REJECTIONS,
    Judged,
    detector_metrics,
    judged_samples,
    verdict_on_patches,
    verdict_on_suspects,
)
from assay.methods.backdoor.inputs.search import Searched, questions, search, search_metrics
from assay.methods.finding import Figure, Finding, Metric
from assay.methods.method import Context, OracleMethod

EXAMINER = (
    "Black box. Somebody who trained the model, or poisoned its training data, may have taught it a trigger that means "
    "one class. The examiner has clean images that the model was not trained on, asks the model about them and, where "
    "there are some, about suspicious ones; the trigger is not known."
)
"""The threat model of input detectors."""

ATLAS = ("AML.T0018.000", "AML.T0043.004")
"""The techniques of MITRE ATLAS that they look for: a planted backdoor, and a trigger put into an input."""


class Roles(NamedTuple):
    """Images by their role; see `parts.Parts`. ``pool`` (m, c, h, w) is in memory."""

    pool: torch.Tensor
    calibration: Images
    clean: Images
    suspects: Images


class Examined(NamedTuple):
    """What a detector measured: images by their role, their suspicion, and the patch that was found where one was.

    ``clean_rows`` and ``suspect_rows`` are rows of the parts of the data that the images are from. ``asked`` counts the
    images that the oracle was asked about for the measurements, ``regions`` are what `InputDetector.regions` found.
    """

    roles: Roles
    judged: Judged
    found: Searched | None
    clean_rows: NDArray[np.int64]
    suspect_rows: NDArray[np.int64]
    asked: int
    regions: list[Region]


class InputDetector(OracleMethod[Examined]):
    """A method that gives every image a measurement, and flags those whose measurement is rare among clean images.

    What is judged are the target's suspects. Where it has none, what is done is ours and none of the papers': square
    patches of three patterns and several sizes are stamped at the corners of clean images. If the best of them beats
    the best that leads to another class by more than on (almost) any clean model, it acts as a trigger. (Clean models
    give way to patches too, some to many, but then to several classes.) In any case the detector's error rates are
    measured on images that carry the best patch. A model is never cleared: triggers of another kind, place or size, or
    for some classes only, are not looked for. No labels of the clean images are used.

    A subclass implements `measurements`. ``measured`` says what that is, ``sign`` is -1 where a low value is
    suspicious.
    """

    parts = ("non_members",)
    uses = ("suspects",)
    version = 3
    short: ClassVar[str]
    detector: ClassVar[str]
    measured: ClassVar[str]
    sign: ClassVar[int] = 1

    max_images: int = Field(
        default=1000,
        ge=FEWEST_IMAGES,
        description="At most so many clean images are used, for all purposes together, and at most so many suspects.",
    )

    def measurements(
        self, oracle: Oracle, images: Images, pool: torch.Tensor, context: Context, purpose: str
    ) -> Floats:
        """One number for each of some images (n,); ``pool`` (m, c, h, w) are clean images that are not judged.

        ``purpose`` names the images to the reader, and draws randomness of their own.
        """
        raise NotImplementedError

    def questions(self, oracle: Oracle) -> int:
        """Images that `measurements` asks about for each image, at most; what is not known beforehand is left out."""
        raise NotImplementedError

    def regions(self, oracle: Oracle, roles: Roles, judged: Judged) -> list[Region]:
        """Parts of the most suspicious images to show, where the detector looks for such."""
        return []

    def measure(self, access: Oracle, data: Splits, context: Context) -> Examined:
        """Implements `OracleMethod.measure`.

        Raises:
            DataError: if clean images are missing or too few.
            BudgetError: if the budget does not cover what is sure to be asked.
        """
        if data.non_members is None:
            raise DataError(f"{self.detector} needs clean images that the target was not trained on.")
        parts = divide(len(data.non_members), self.max_images, context.generator("input detectors: parts"))
        self._check_budget(access, parts, data.suspects)
        calibration, clean = (Subset(data.non_members, rows) for rows in (parts.calibration, parts.evaluation))
        pool = data.non_members.take(parts.pool)
        found = None
        if data.suspects is None:
            found = search(access, data.non_members.take(parts.screening), clean, context)
            stamped = Stamped(Subset(clean, found.others), found.patch.stamp, str(found.patch))
            roles, suspect_rows = Roles(pool, calibration, clean, stamped), parts.evaluation[found.others]
        else:
            chosen = drawn(data.suspects, self.max_images, context.generator("input detectors: suspects"))
            roles, suspect_rows = Roles(pool, calibration, clean, chosen), chosen.rows
        before = access.ledger.images
        judged = self.judge(access, roles, found is not None, context)
        asked = access.ledger.images - before
        regions = self.regions(access, roles, judged)
        return Examined(roles, judged, found, parts.evaluation, suspect_rows, asked, regions)

    def judge(self, oracle: Oracle, roles: Roles, stamped: bool, context: Context) -> Judged:
        """The suspicion of images of every role; ``stamped`` says that the suspects are known to carry a trigger."""
        calibration, clean, suspects = (
            self.sign * self.measurements(oracle, images, roles.pool, context, purpose)
            for images, purpose in (
                (roles.calibration, "calibration images"),
                (roles.clean, "clean images"),
                (roles.suspects, "stamped images" if stamped else "suspicious images"),
            )
        )
        return Judged(self.short, self.detector, self.measured, self.sign, stamped, calibration, clean, suspects)

    def account(self, result: Examined, context: Context) -> Finding:
        judged, found = result.judged, result.found
        metrics = detector_metrics(judged, context.seed)
        metrics.append(_questions_metric(result.asked, judged))
        figures: list[Figure] = [histogram(judged, "suspicious" if found is None else f"stamped ({found.patch})")]
        if found is None:
            rate = FALSE_REJECTIONS[-1]
            named = {metric.name: metric for metric in metrics}
            flagged, rejected = (named[f"{self.short}_{kind}_at_{rate:g}"] for kind in ("flagged", "frr"))
            verdict = verdict_on_suspects(judged, flagged, rejected)
            figures.append(suspects_gallery(result.roles.suspects, judged, result.suspect_rows, context))
        else:
            searched = search_metrics(found, context)
            verdict = verdict_on_patches(found, searched, metrics[0], self.detector, context)
            metrics = [*searched, *metrics]
            figures += [patch_gallery(result.roles.clean, found, context), patch_table(found, context.class_names)]
        if result.regions:
            figures.append(region_gallery(result.regions, context))
        samples = judged_samples(judged, found, result.clean_rows, result.suspect_rows)
        return Finding(metrics=metrics, verdict=verdict, figures=figures, samples=samples)

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
