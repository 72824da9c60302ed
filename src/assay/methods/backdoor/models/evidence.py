"""Evidence of several kinds for several labels, and what the triggers found do to held-out images."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import WhiteBox
from assay.base.intervals import Floats
from assay.methods.backdoor.models.batch_norm import RunningMeans, leads_to, under_surplus
from assay.methods.backdoor.models.channel_noise import Noise
from assay.methods.backdoor.models.clean import Clean
from assay.methods.backdoor.models.null import Kind

Stamp = Callable[[torch.Tensor], torch.Tensor]
"""Images (n, c, h, w) in [0, 1] to images that carry a trigger."""

SPREAD = ("overlay", "warp")
"""Kinds whose triggers lie all over the image: of the sizes that are searched, some work on many a clean network."""

RUNNING_MEANS = "running_means"
"""The name of what `batch_norm.compare` finds, among the kinds of evidence."""


class Evidence(NamedTuple):
    """One kind of evidence: how far each of some labels (k,) stands out by it, ``strength`` (k,), larger if more.

    ``values`` (k,) are what was measured, described by ``meaning``; ``stamps`` are the labels' triggers, k or none.
    ``indices`` (k,) are anomaly indices where the kind has them.
    """

    name: str
    meaning: str
    labels: NDArray[np.int64]
    strength: Floats
    values: Floats
    stamps: list[Stamp]
    indices: Floats | None = None

    @property
    def top(self) -> int:
        """The place, 0 to k - 1, of the label that stands out most."""
        return int(self.strength.argmax())

    @property
    def label(self) -> int:
        """The label that stands out most."""
        return int(self.labels[self.top])

    def stamp_of(self, label: int) -> Stamp | None:
        """The label's trigger, if there is one."""
        places = np.flatnonzero(self.labels == label)
        return self.stamps[int(places[0])] if self.stamps and len(places) else None


class TriedTrigger(NamedTuple):
    """A trigger: the kind of evidence it comes from, the label it leads to, and whom it moves there.

    ``moved`` bool (m,) is over the held-out images that the network calls otherwise.
    """

    kind: str
    label: int
    stamp: Stamp
    moved: NDArray[np.bool_]


class SurplusEffect(NamedTuple):
    """Running means against those of clean images, the label that their difference leads to, and whom it moves there.

    ``moved`` bool (m,) is over the held-out images that the network calls otherwise.
    """

    means: RunningMeans
    label: int
    moved: NDArray[np.bool_]


class Scanned(NamedTuple):
    """All that a scan measured: ``tested`` holds, by kind of evidence, the trigger of its most outstanding label.

    ``rows`` (labels,) are mean weights of the last layer, None without one. ``surplus`` is None where running means
    cannot be compared. ``missing`` says which evidence could not be had, a sentence each. ``gradients`` are those of
    images that it all took.
    """

    evidence: list[Evidence]
    tested: dict[str, TriedTrigger]
    surplus: SurplusEffect | None
    clean: Clean
    kind: Kind
    gradients: int
    noise: Noise
    rows: Floats | None
    missing: list[str]

    @property
    def patch(self) -> Evidence:
        """The kind of evidence that has anomaly indices."""
        return next(e for e in self.evidence if e.indices is not None)

    @property
    def anomaly_index(self) -> float:
        """The largest anomaly index of a patch."""
        indices = self.patch.indices
        return 0.0 if indices is None else float(indices.max())

    @property
    def statistics(self) -> dict[str, float]:
        """How far the most outstanding label stands out, by kind of evidence."""
        return {e.name: float(e.strength.max()) for e in self.evidence}


def try_trigger(box: WhiteBox, kind: Evidence, evidence: list[Evidence], clean: Clean) -> TriedTrigger:
    """Stamp held-out images with the trigger of a kind's most outstanding label.

    Where the kind has none for it, the patch towards it is tested, or that of the first kind that has one.
    """
    label = kind.label
    by_kind = [kind, *sorted(evidence, key=lambda e: e.indices is None)]
    name, stamp = next((e.name, stamp) for e in by_kind if (stamp := e.stamp_of(label)) is not None)
    images = clean.held_out[clean.others(label)]
    answers = torch.cat([box.logits(stamp(part)) for part in torch.split(images, 128)])
    return TriedTrigger(name, label, stamp, (answers.argmax(1) == label).numpy())


def surplus_effect(box: WhiteBox, means: RunningMeans, clean: Clean) -> SurplusEffect:
    """Find the label that the surplus of the running means leads to, and lay it over held-out images."""
    label = leads_to(box, clean.search, means)
    answers = under_surplus(box, clean.held_out[clean.others(label)], means)
    return SurplusEffect(means, label, (answers.argmax(1) == label).numpy())
