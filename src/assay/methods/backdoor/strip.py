"""STRIP, and a search among generic patches for something it should catch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Oracle
from assay.base.errors import BudgetError, DataError
from assay.methods.backdoor.entropy import Floats, Overlay, entropies, overlaid, threshold
from assay.methods.backdoor.results import FALSE_REJECTIONS, Tried, gallery, histogram, strip_metrics, table, verdict
from assay.methods.backdoor.triggers import Patch, Screened, generic_patches, pull_towards
from assay.methods.finding import Family, Finding
from assay.methods.measures import class_name, proportion
from assay.methods.method import Context, Method, Need, Preset, method, require_oracle
from assay.targets.data import Images, Subset, batches
from assay.targets.splits import Splits

FEWEST_IMAGES = 40
"""Clean images below which the four parts are too small to say anything."""

MOST_SCREENED = 50
"""Images that every generic patch is stamped on; the most effective patch is then measured on others."""

BATCH = 256
"""Overlaid images asked about at a time."""

Change = Callable[[torch.Tensor], torch.Tensor]


class Parts(NamedTuple):
    """Rows of the clean images, each used for one purpose only."""

    overlays: NDArray[np.int64]
    screening: NDArray[np.int64]
    calibration: NDArray[np.int64]
    evaluation: NDArray[np.int64]


def divide(count: int, most: int, generator: torch.Generator) -> Parts:
    """At most ``most`` of ``count`` rows, shuffled, without overlap.

    A fifth are overlays and a tenth (at most `MOST_SCREENED`) screen patches; of the rest, four sevenths calibrate and
    three sevenths evaluate.

    Raises:
        DataError: if there are fewer than `FEWEST_IMAGES`.
    """
    used = min(count, most)
    if used < FEWEST_IMAGES:
        raise DataError(f"STRIP needs at least {FEWEST_IMAGES} clean images, and {used} are to be used.")
    rows = torch.randperm(count, generator=generator).numpy()[:used]
    overlays = used // 5
    screening = overlays + min(used // 10, MOST_SCREENED)
    calibration = screening + (used - screening) * 4 // 7
    return Parts(*np.split(rows, [overlays, screening, calibration]))


@method
class Strip(Method):
    """Entropy under overlays (STRIP), tried on the most effective of a fixed list of generic patches.

    STRIP judges inputs: it flags those whose prediction does not change when other images are laid over them. A model
    whose trigger is unknown gives it nothing to judge. What is done here beyond the paper is ours: square patches of
    three patterns and several sizes are stamped at the corners of clean images; if one of them moves most images to
    one class, it acts as a trigger, and STRIP's error rates on images that carry it are measured. A fragile clean model
    may give way to many patches, though each then leads elsewhere; so the most effective patch for any other class is
    the control. A model is never cleared: triggers of another kind, place or size, or for some classes only, are not
    looked for.
    """

    name: ClassVar[str] = "backdoor.strip"
    family: ClassVar[Family] = "backdoor"
    needs: ClassVar[Need] = "posteriors"
    title: ClassVar[str] = "STRIP with generic patches"
    summary: ClassVar[str] = (
        "Stamps generic patches on clean images to find one that acts as a trigger, and measures how well "
        "STRIP (low entropy under overlaid images) tells stamped images from clean ones."
    )
    threat_model: ClassVar[str] = (
        "Somebody who trained the model, or poisoned its training data, may have taught it that a small patch means "
        "one class. The examiner has clean images that the model was not trained on and the model's posteriors; the "
        "trigger is not known."
    )
    paper: ClassVar[str] = (
        "Gao et al., STRIP: a defence against trojan attacks on deep neural networks, ACSAC 2019; "
        "the search among generic patches is Assay's own."
    )
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0018.000", "AML.T0043.004")
    parts: ClassVar[tuple[str, ...]] = ("non_members",)
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {
        "quick": {},
        "standard": {"overlays": 64, "max_images": 2000},
        "full": {"overlays": 100, "max_images": 5000},
    }

    overlays: int = Field(default=20, ge=1, description="Images laid over each input, one after another; paper: 100.")
    overlay: Overlay = Field(default="blend", description="blend: mean of both images; sum: their sum, clipped.")
    max_images: int = Field(
        default=1000,
        ge=FEWEST_IMAGES,
        description="At most so many clean images are used, for overlays, screening, calibration and evaluation.",
    )

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`.

        Raises:
            DataError: if clean images are missing or too few.
            BudgetError: if the budget does not cover all that will be asked.
        """
        oracle = require_oracle(access)
        if data.non_members is None:
            raise DataError("STRIP needs clean images that the target was not trained on.")
        parts = divide(len(data.non_members), self.max_images, context.generator("strip: parts"))
        patches = generic_patches(oracle.input_shape)
        self._check_budget(oracle, parts, patches)
        screened = _screen(oracle, data.non_members.take(parts.screening), patches, context)
        patch, label = _most_effective(screened)
        rival, rival_label = _most_effective(screened, besides=label)

        clean = Subset(data.non_members, parts.evaluation)
        before, after = _labels(oracle, clean, torch.clone), _labels(oracle, clean, patch.stamp)
        pull = pull_towards(label, before, after)
        rival_pull = pull_towards(rival_label, before, _labels(oracle, clean, rival.stamp))
        others = np.flatnonzero(before != label)

        pool = data.non_members.take(parts.overlays)
        calibration = self._entropies(
            oracle, Subset(data.non_members, parts.calibration), pool, context, "calibration images"
        )
        of_clean = self._entropies(oracle, clean, pool, context, "clean images")
        of_stamped = self._entropies(oracle, Subset(clean, others), pool, context, "stamped images", patch.stamp)
        limits = {rate: threshold(calibration, rate) for rate in FALSE_REJECTIONS}
        names = context.class_names
        tried = Tried(patch, class_name(names, label), rival, class_name(names, rival_label), len(patches))
        success = proportion(
            "trigger_success",
            "Success of the most effective patch",
            pull.moved,
            f"{patch}, towards class {tried.label}; chosen on other images.",
        )
        other_success = proportion(
            "rival_success",
            "Success of the patch most effective for another class",
            rival_pull.moved,
            f"{rival}, towards class {tried.rival_label}; chosen on other images.",
        )
        metrics = strip_metrics(len(calibration), of_clean, of_stamped, limits, context.seed)
        samples = {"row": parts.evaluation, "predicted": before, "predicted_stamped": after, "entropy": of_clean}
        samples["entropy_stamped"] = np.full(len(before), np.nan)
        samples["entropy_stamped"][others] = of_stamped
        return Finding(
            metrics=[success, other_success, *metrics],
            verdict=verdict(success, other_success, metrics[0], tried),
            figures=[
                histogram(of_clean, of_stamped, limits, patch),
                gallery(clean, others[np.argsort(~pull.moved, kind="stable")], before, after, patch, context),
                table(screened, names),
            ],
            samples=samples,
        )

    def _check_budget(self, oracle: Oracle, parts: Parts, patches: list[Patch]) -> None:
        evaluated = len(parts.evaluation)
        needed = len(parts.screening) * (1 + len(patches)) + 3 * evaluated
        needed += self.overlays * (len(parts.calibration) + 2 * evaluated)
        if oracle.remaining is not None and oracle.remaining < needed:
            raise BudgetError(
                f"STRIP with these options asks about up to {needed:,} images, and the budget leaves "
                f"{oracle.remaining:,}; lower max_images or overlays."
            )

    def _entropies(
        self,
        oracle: Oracle,
        images: Images,
        pool: torch.Tensor,
        context: Context,
        purpose: str,
        change: Change = torch.clone,
    ) -> Floats:
        generator = context.generator(f"strip: overlays of {purpose}")
        bits = []
        with context.progress.step(f"entropy of {purpose}", len(images)) as bar:
            for batch in batches(images, max(1, BATCH // self.overlays)):
                drawn = torch.randint(len(pool), (len(batch.images), self.overlays), generator=generator)
                mixed = overlaid(change(batch.images), pool[drawn], self.overlay)
                posteriors = oracle.ask(mixed.flatten(0, 1)).require_posteriors()
                bits.append(entropies(posteriors.reshape(*drawn.shape, -1)))
                bar.advance(len(drawn))
        return np.concatenate(bits)


def _labels(oracle: Oracle, images: Images, change: Change) -> NDArray[np.int64]:
    return np.concatenate([oracle.ask(change(batch.images)).labels for batch in batches(images, BATCH)])


def _screen(oracle: Oracle, images: torch.Tensor, patches: list[Patch], context: Context) -> Screened:
    before = oracle.ask(images).labels
    after = {}
    with context.progress.step("trying generic patches", len(patches)) as bar:
        for patch in patches:
            after[patch] = oracle.ask(patch.stamp(images)).labels
            bar.advance()
    return Screened(before, after, oracle.num_classes)


def _most_effective(screened: Screened, besides: int | None = None) -> tuple[Patch, int]:
    pulls = screened.pulls(besides)
    patch = max(pulls, key=lambda p: (pulls[p].share, -p.side))
    return patch, pulls[patch].label
