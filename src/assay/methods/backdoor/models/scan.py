"""The default detector: a screen of all labels, a closer look at a few, and a test of what was found."""

from __future__ import annotations

from functools import partial
from itertools import zip_longest

import numpy as np
import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.base.intervals import Floats
from assay.base.progress import Step
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.backdoor.inversion.feed import Feed
from assay.methods.backdoor.inversion.forms import Patch
from assay.methods.backdoor.inversion.growth import Change, Overlay, Warp, grow
from assay.methods.backdoor.inversion.rules import Arms, Rule
from assay.methods.backdoor.inversion.search import Search
from assay.methods.backdoor.models.batch_norm import RunningMeans, compare, taken_anew
from assay.methods.backdoor.models.channel_noise import Noise, NoiseOptions, no_noise, noise_towards
from assay.methods.backdoor.models.clean import Clean, clean_images
from assay.methods.backdoor.models.evidence import Evidence, Scanned, Stamp, surplus_effect, try_trigger
from assay.methods.backdoor.models.last_layer import row_means
from assay.methods.backdoor.models.layers import running_means
from assay.methods.backdoor.models.margins import Ascent, Margins, largest_margins
from assay.methods.backdoor.models.null import kind_of
from assay.methods.backdoor.models.outliers import OWN_NULL, above_others, anomaly_indices, leads, robust_scores
from assay.methods.backdoor.models.scan_report import judge_running_means, scan_finding
from assay.methods.backdoor.models.waves import Waves, all_waves, pulls_of_waves
from assay.methods.finding import Finding
from assay.methods.method import Context, WhiteBoxMethod, method
from assay.methods.work import Sizes, Work

RULE = Rule(patience=5, multiplier=2.0, early_stop=False)
"""Of the patch search: the constants of Neural Cleanse's published example."""

ALL_SCREENED = 20
"""Labels up to which each has the whole screen; beyond, the screen's cost grows with the square root of the labels."""

FLOOR = 0.1
"""Added to a loss before its logarithm is taken: how far below this it is says nothing more."""

ORDINARY = 0.5
"""The p-value of running means from which no more augmentations are tried to explain them: it would only rise."""

SMALLEST = 1e-3
"""What counts for a smaller trigger or margin, so that logarithms stay finite."""


@method
class Scan(WhiteBoxMethod[Scanned]):
    """Six kinds of evidence for labels and one for the network, weighed against what clean networks show.

    Screens of all labels lay ready-made waves over images, drive noise to the largest margin of each label (MM-BD),
    look for the least channel noise (`ChannelNoise`) and, of many labels, at the last layer's rows (`LastLayer`). Up to
    ``most_labels`` labels, all of a model with ten, are looked at closely: the smallest patch (Neural Cleanse), a faint
    overlay and a smooth warp that lead images there. Of a model with more labels these are the most suspicious of the
    screens, and random ones to compare with. The evidence for a label is how far it stands out among the model's
    labels; the largest, in standard deviations of clean networks, is judged by a p-value against clean networks. What
    was found must then move most held-out images to be called high. An overlay or a warp that does
    so is no evidence by itself, for some work on clean networks too: another kind of evidence must name the same label.
    Of a model with many labels these are the null where no clean networks are known.

    The running means of batch normalisation are those of the training images, and poisoned ones among them show in
    these, whatever the trigger. So do other differences, so that they decide nothing alone: a model without other
    evidence is left undecided by them.
    """

    name = "backdoor.scan"
    about = About(
        title="Backdoor scan",
        summary=(
            "Screens all labels, searches patches, overlays and warps for a few, and judges against clean networks."
        ),
        paper=(
            "After Wang et al. (Neural Cleanse, IEEE S&P 2019), Wang et al. (MM-BD, IEEE S&P 2024), Shen et al. (K-Arm,"
            " ICML 2021), Zheng et al. (Pre-activation Distributions, NeurIPS 2022); the combination and its "
            "calibration are Assay's own."
        ),
        threat_model=(
            "Somebody who trained the model, or poisoned its training data, may have planted a trigger that leads any "
            "image to one class. The examiner has the network and some clean images, without labels."
        ),
    )
    parts = ("non_members",)
    version = 7
    presets = {"quick": {}, "standard": {}, "full": {}}

    images: int = Field(default=64, ge=8, description="Clean images to search with, at most.")
    held_out: int = Field(default=200, ge=8, description="Clean images to measure recovered triggers on, at most.")
    batch_size: int = Field(default=16, ge=1, description="Images in a step.")
    patch_steps: int = Field(default=100, ge=1, description="Gradient steps of the patch search.")
    overlay_steps: int = Field(default=20, ge=1, description="Gradient steps of the overlay search.")
    warp_steps: int = Field(default=30, ge=1, description="Gradient steps of the warp search.")
    margin_starts: int = Field(default=5, ge=1, description="Random images for each label's margin.")
    margin_steps: int = Field(default=60, ge=1, description="Steps that each of them climbs.")
    most_labels: int = Field(default=12, ge=3, description="Labels looked at closely, at most.")
    suspects: int = Field(default=6, ge=1, description="Of these, the most suspicious; the others are random.")
    overlay_size: float = Field(default=0.06, gt=0, le=1, description="Largest overlay, root mean square of a pixel.")
    warp_size: float = Field(default=2.0, gt=0, description="Largest warp, root mean square in pixels.")
    wave_size: float = Field(default=0.12, gt=0, le=1, description="Amplitude of the ready-made waves.")
    compared: int = Field(
        default=500,
        ge=100,
        description="Clean images that running means are compared with; where there are fewer, they are not.",
    )
    thorough: bool = Field(
        default=False,
        description="Explain running means further even where they are like those of clean networks; for a null.",
    )
    grid: int = Field(default=1, ge=1, description="Pixels of a mask's square; a transformer's patch side, say.")

    def work(self, sizes: Sizes) -> Work | None:
        """Every step of every search but channel noise, which ends where it is found, by two thirds of its steps.

        Waves, tests and batch normalisation take some 15,000 forward passes, and twice as many where running means are
        out of the ordinary. Measured: 14,444 and 35,136 gradients on ResNet-20 (CIFAR-10).
        """
        looked_at = min(sizes.classes, self.most_labels)
        steps = self.batch_size * looked_at * (self.patch_steps + self.overlay_steps + self.warp_steps)
        starts, each = self._screen(sizes.classes)
        noise = NoiseOptions().steps * min(sizes.classes, NoiseOptions().most_labels) * self.images
        return Work(forwards=15_000, gradients=steps + 2 / 3 * noise + sizes.classes * starts * each, seconds=0.2)

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> Scanned:
        """Implements `WhiteBoxMethod.measure`.

        Raises:
            DataError: if clean images are missing, too few, or of one class.
            AccessError: if there are no usable gradients, or the network ignores its input.
        """
        clean = clean_images(access, data, self.images, self.held_out, context.generator("scan: images"))
        noise_options = NoiseOptions()
        steps = noise_options.steps + self.patch_steps + self.overlay_steps + self.warp_steps + 3
        with context.progress.step(self.about.title, steps) as bar:
            few = slice(0, self.batch_size)
            waves = pulls_of_waves(
                access, clean.search[few], clean.search_labels[few], all_waves(access.input_shape, self.wave_size)
            )
            bar.advance()
            margins = self._margins(access, context)
            bar.advance()
            chance = context.generator("scan: channel noise")
            noise = noise_towards(access, clean.search, noise_options, chance, bar)
            rows = row_means(access)
            evidence = [_of_waves(waves), _of_margins(margins), *_of_noise(noise), *_of_rows(rows)]
            chosen = self._choose(evidence, access.num_classes, context.generator("scan: controls"))
            evidence.append(self._patches(access, clean, chosen, context, bar))
            evidence.extend(self._spread(access, clean, chosen, context, bar))
            assert data.non_members is not None
            anew = no_running_means(access, len(data.non_members), self.compared)
            missing = [*no_noise(noise), *anew]
            means = None
            if not anew:
                chance = context.generator("scan: remembered")
                ordinary = partial(self._ordinary, access, context)
                means = compare(access, data.non_members, self.compared, chance, bar, ordinary)
            bar.advance()
        tested = {e.name: try_trigger(access, e, evidence, clean) for e in evidence}
        surplus = None if means is None else surplus_effect(access, means, clean)
        gradients = access.ledger.gradients
        return Scanned(evidence, tested, surplus, clean, kind_of(access), gradients, noise, rows, missing)

    def account(self, result: Scanned, context: Context) -> Finding:
        return scan_finding(self.name, result, context)

    def _margins(self, box: WhiteBox, context: Context) -> Margins:
        """The screen without data."""
        starts, steps = self._screen(box.num_classes)
        ascent = Ascent(starts, steps, rate=0.01, momentum=0.9, unit_steps=True)
        return largest_margins(box, np.arange(box.num_classes), ascent, context.generator("scan: margins"))

    def _ordinary(self, box: WhiteBox, context: Context, means: RunningMeans) -> bool:
        """Whether at least half of the clean networks have running means that are as unlike those of clean images."""
        if self.thorough:
            return False
        judged = judge_running_means(self.name, means, kind_of(box), context.weights)
        return judged.p_value is not None and judged.p_value >= ORDINARY

    def _screen(self, classes: int) -> tuple[int, int]:
        """Starts and steps of the screen for each label; with many labels, fewer."""
        share = min(1.0, (ALL_SCREENED / classes) ** 0.5)
        starts = max(1, round(self.margin_starts * share))
        return starts, max(1, round(self.margin_steps * self.margin_starts * share / starts))

    def _choose(self, screens: list[Evidence], count: int, generator: torch.Generator) -> Arms:
        """All labels if they are few; else the most suspicious of every screen in turn, and random others."""
        order = torch.randperm(count, generator=generator).numpy()
        if count <= self.most_labels:
            return np.arange(count)
        ranked = [screen.labels[np.argsort(-screen.strength, kind="stable")].tolist() for screen in screens]
        in_turn = (label for turn in zip_longest(*ranked) for label in turn if label is not None)
        suspects = np.array(list(dict.fromkeys(in_turn))[: min(self.suspects, self.most_labels)])
        controls = order[~np.isin(order, suspects)][: self.most_labels - len(suspects)]
        return np.sort(np.concatenate([suspects, controls]))

    def _patches(self, box: WhiteBox, clean: Clean, labels: Arms, context: Context, bar: Step) -> Evidence:
        form = Patch(box.input_shape, self.grid)
        search = Search(box, form, labels, RULE, context.generator("scan: patches"))
        feed = Feed(clean.search, self.batch_size, context.generator("scan: batches"))
        for _ in range(self.patch_steps):
            search.round(feed.take(1), search.active)
            bar.advance()
        sizes = form.size(search.best).double().numpy()
        stamps: list[Stamp] = [partial(search.stamped, arm=arm) for arm in range(len(labels))]
        share = sizes / (box.input_shape[1] * box.input_shape[2])
        strength = leads(sizes.clip(SMALLEST))
        indices = anomaly_indices(sizes)
        return Evidence("patch", "the smallest patch, share of the image", labels, strength, share, stamps, indices)

    def _spread(self, box: WhiteBox, clean: Clean, labels: Arms, context: Context, bar: Step) -> list[Evidence]:
        """Overlays and warps."""
        found = []
        kinds = (
            ("overlay", Overlay(box.input_shape), self.overlay_steps, self.overlay_size),
            ("warp", Warp(box.input_shape), self.warp_steps, self.warp_size),
        )
        for name, change, steps, size in kinds:
            feed = Feed(clean.search, self.batch_size, context.generator(f"scan: {name} batches"))
            grown = grow(box, change, labels, feed, steps, size, context.generator(f"scan: {name}"), bar)
            stamps: list[Stamp] = [partial(_applied, change, own) for own in grown.variables]
            strength = leads(grown.loss + FLOOR)
            found.append(Evidence(name, f"the loss under the largest {name}", labels, strength, grown.loss, stamps))
        return found


def _applied(change: Change, variables: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return change.apply(variables[None], images)[0]


def _added(wave: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return (images + wave).clamp(0, 1)


def _of_waves(waves: Waves) -> Evidence:
    stamps: list[Stamp] = [partial(_added, wave) for wave in waves.waves]
    labels = np.arange(len(waves.pulls))
    return Evidence("wave", "images that one wave leads to it", labels, above_others(waves.pulls), waves.pulls, stamps)


def _of_margins(margins: Margins) -> Evidence:
    strength = above_others(np.log(margins.values.clip(SMALLEST)))
    return Evidence("margin", "the largest margin", np.arange(len(strength)), strength, margins.values, [])


def _of_noise(noise: Noise) -> list[Evidence]:
    if not noise.channels:
        return []
    return [Evidence("channel_noise", "the least channel noise", noise.labels, noise.strength, noise.lengths, [])]


def _of_rows(rows: Floats | None) -> list[Evidence]:
    """Evidence by the last layer, for many labels only: among clean networks it tells too little to count."""
    if rows is None or len(rows) < OWN_NULL:
        return []
    meaning = "the mean weight in the last layer"
    return [Evidence("last_layer", meaning, np.arange(len(rows)), robust_scores(rows), rows, [])]


def no_running_means(box: WhiteBox, images: int, compared: int) -> list[str]:
    """Why running means cannot be compared with so many clean images, a sentence; empty if they can."""
    if not running_means(box):
        return [
            "It has no batch normalisation, or that was folded into other layers: what running means would tell is "
            "missing."
        ]
    if (batches := taken_anew(box.module)) is not None:
        return [
            f"Its running means are of {batches} batches, too few for a training: they were taken anew, and what they "
            "would tell is missing."
        ]
    if images < compared:
        return [f"Running means are compared with {compared} clean images, and there are {images}."]
    return []
