"""Evidence of several kinds for several labels, and what it amounts to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import WhiteBox
from assay.methods.backdoor.models.batch_norm import AMPLIFIED, Remembered, leads_to, under_surplus
from assay.methods.backdoor.models.clean import Clean
from assay.methods.backdoor.models.null import ALPHA, Judged, judge, kind_of, shipped_nulls
from assay.methods.backdoor.models.outliers import FEWEST_LABELS, PAPERS_INDEX, Floats
from assay.methods.backdoor.models.results import NO_INTERVAL, WORKS, p_value_metric
from assay.methods.finding import Finding, Gallery, Metric, Table, Verdict
from assay.methods.measures import class_name, proportion, within
from assay.methods.method import Context
from assay.methods.pictures import magnified, save_png

Stamp = Callable[[torch.Tensor], torch.Tensor]
"""Images (n, c, h, w) in [0, 1] to images that carry a trigger."""

REMEMBERED = "remembered"
"""The name of what `remembered` finds, among the kinds of evidence."""

OUTSTANDING = 2.0
"""Standard deviations above the mean of clean networks from which evidence is shown beside the leading kind."""


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


class Tested(NamedTuple):
    """A trigger: the kind of evidence it comes from, the label it leads to, and how often it does, held out."""

    kind: str
    label: int
    stamp: Stamp
    success: Metric


class Recalled(NamedTuple):
    """What is remembered, the label that its surplus leads to, and how often it does, held out."""

    remembered: Remembered
    label: int
    success: Metric


class Scanned(NamedTuple):
    """All evidence, its p-value, the kind that leads among those of labels, and the trigger tested for its label.

    ``labels_alone`` is the p-value without what is ``recalled``.
    """

    evidence: list[Evidence]
    recalled: Recalled | None
    judged: Judged
    labels_alone: Judged
    leading: Evidence
    tested: Tested

    @property
    def label(self) -> int:
        """The suspicious label."""
        return self.leading.label

    @property
    def by_memory(self) -> bool:
        """Whether the remembered statistics are further above clean networks than any label."""
        places = self.judged.places
        return places.get(REMEMBERED, -np.inf) > places.get(self.leading.name, np.inf)


def scan_finding(
    detector: str,
    box: WhiteBox,
    evidence: list[Evidence],
    remembered: Remembered | None,
    clean: Clean,
    context: Context,
) -> Finding:
    """Judge the evidence against clean networks, test the trigger of the leading kind, and report.

    The leading kind is the one furthest above the clean networks; without a null, the patches.
    """
    statistics = {e.name: float(e.strength.max()) for e in evidence}
    judged = labels_alone = judge(detector, statistics, kind_of(box), shipped_nulls(), context.weights)
    if remembered is not None:
        statistics[REMEMBERED] = remembered.strength
        judged = judge(detector, statistics, kind_of(box), shipped_nulls(), context.weights)
    patch = next(e for e in evidence if e.indices is not None)
    leading = max(evidence, key=lambda e: judged.places[e.name]) if judged.places else patch
    tested = {e.name: _test(box, e, evidence, clean, context.class_names) for e in evidence}
    recalled = None if remembered is None else _recall(box, remembered, clean, context.class_names)
    scanned = Scanned(evidence, recalled, judged, labels_alone, leading, tested[leading.name])
    success = scanned.tested.success
    strengths = [
        Metric(
            name=f"strength_{e.name}",
            label=f"How far the most outstanding label stands out: {e.meaning}",
            value=float(e.strength.max()),
            note=f"Label {class_name(context.class_names, e.label)}. {NO_INTERVAL}",
        )
        for e in evidence
    ]
    successes = [t.success for t in tested.values()]
    if recalled is not None:
        successes.append(recalled.success)
        strengths.append(
            Metric(
                name=f"strength_{REMEMBERED}",
                label="Logarithm of how far what batch normalisation remembers lies from clean images",
                value=recalled.remembered.strength,
                note=f"Clean images {recalled.remembered.handling}; 0 is chance. {NO_INTERVAL}",
            )
        )
    index = float((patch.indices if patch.indices is not None else np.zeros(1)).max())
    metrics = [
        success.model_copy(update={"name": "trigger_success"}),
        p_value_metric(judged),
        *successes,
        *strengths,
        Metric(name="anomaly_index", label="Largest anomaly index of a patch", value=index, note=NO_INTERVAL),
        Metric(name="gradients", label="Image gradients", value=float(box.ledger.gradients), note=NO_INTERVAL),
    ]
    return Finding(
        metrics=metrics,
        verdict=_verdict(scanned, index, box.num_classes, context.class_names),
        figures=[
            _gallery(scanned, clean, context),
            _table(scanned, context.class_names),
            *([] if remembered is None else [_layers(remembered, judged.places.get(REMEMBERED))]),
        ],
        samples=_columns(evidence, box.num_classes),
    )


def _test(box: WhiteBox, kind: Evidence, evidence: list[Evidence], clean: Clean, names: tuple[str, ...]) -> Tested:
    """Stamp held-out images with the trigger of a kind's most outstanding label.

    Where the kind has none for it, the patch towards it is tested, or that of the first kind that has one.
    """
    label = kind.label
    by_kind = [kind, *sorted(evidence, key=lambda e: e.indices is None)]
    name, stamp = next((e.name, stamp) for e in by_kind if (stamp := e.stamp_of(label)) is not None)
    images = clean.held_out[torch.from_numpy(clean.others(label))]
    answers = torch.cat([box.logits(stamp(part)) for part in torch.split(images, 128)])
    success = proportion(
        f"success_{kind.name}",
        f"Success on held-out images of the trigger towards the label that stands out by its {kind.name}",
        (answers.argmax(1) == label).numpy(),
        f"The {name} towards {class_name(names, label)}; of images that the network calls otherwise.",
    )
    return Tested(name, label, stamp, success)


def _recall(box: WhiteBox, remembered: Remembered, clean: Clean, names: tuple[str, ...]) -> Recalled:
    """Find the label that the surplus leads to, and lay it over held-out images."""
    label = leads_to(box, clean.search, remembered)
    answers = under_surplus(box, clean.held_out[torch.from_numpy(clean.others(label))], remembered)
    success = proportion(
        f"success_{REMEMBERED}",
        "Held-out images that the surplus in what batch normalisation remembers leads to one label",
        (answers.argmax(1) == label).numpy(),
        f"{AMPLIFIED:g} times, towards {class_name(names, label)}; of images that the network calls otherwise.",
    )
    return Recalled(remembered, label, success)


def _verdict(scanned: Scanned, index: float, labels: int, names: tuple[str, ...]) -> Verdict:
    """``high`` if p raises an alarm and the trigger works, ``elevated`` if only p does; without a null, see the end.

    Where what is remembered leads, its surplus counts as a trigger; if it does not work, a label may still lead.
    """
    success = scanned.tested.success
    if success.interval is None:
        raise ValueError("the success must have an interval")
    judged, label = scanned.judged, class_name(names, scanned.label)
    works = success.interval.low > WORKS
    if scanned.recalled is not None and scanned.by_memory and judged.alarm:
        verdict = _verdict_by_memory(scanned.recalled, judged, names)
        if verdict.level == "high" or not (scanned.labels_alone.alarm and works):
            return verdict
    found = f"{label} stands out most, by its {scanned.leading.name}; the {scanned.tested.kind} found moves "
    found += f"{within(success)} of held-out images to it"
    if judged.p_value is not None:
        sentence = f"{found}; p = {judged.p_value:.3f} among {judged.of} (alarm at {ALPHA:g})."
        if not judged.alarm:
            return Verdict(level="low", metric="p_value", sentence=sentence)
        if works:
            return Verdict(level="high", metric="p_value", sentence=f"{sentence} Look at the recovered trigger.")
        sentence += " A trigger that does not work is no proof: look at the model's other labels and at its origin."
        return Verdict(level="elevated", metric="p_value", sentence=sentence)
    missing = f"There is no p-value: {judged.of} are known."
    if labels < FEWEST_LABELS:
        return Verdict(level="undecided", metric="trigger_success", sentence=f"{found}. {missing}")
    rule = f"Its anomaly index of {index:.1f} is {'above' if index > PAPERS_INDEX else 'not above'} {PAPERS_INDEX:g}"
    sentence = f"{found}. {missing} {rule}, a rule that flags about a third of clean models with ten labels."
    level = "elevated" if index > PAPERS_INDEX and works else "undecided"
    return Verdict(level=level, metric="trigger_success", sentence=sentence)


def _verdict_by_memory(recalled: Recalled, judged: Judged, names: tuple[str, ...]) -> Verdict:
    """``high`` if the surplus moves most images to one label, as a trigger would; else ``elevated``."""
    assert recalled.success.interval is not None
    sentence = (
        "Batch normalisation remembers other images than clean ones: "
        f"p = {judged.p_value:.3f} among {judged.of} (alarm at {ALPHA:g}). {AMPLIFIED:g} times the surplus moves "
        f"{within(recalled.success)} of held-out images to {class_name(names, recalled.label)}"
    )
    if recalled.success.interval.low > WORKS:
        sentence += ", as the trigger of poisoned training images does. Look at the triggers found for this label."
        return Verdict(level="high", metric="p_value", sentence=sentence)
    sentence += (
        ": no proof. A share of the training images was poisoned, or they differ from the clean ones by their source "
        "or by an augmentation that is not tried: look at where the model comes from."
    )
    return Verdict(level="elevated", metric="p_value", sentence=sentence)


def _gallery(scanned: Scanned, clean: Clean, context: Context) -> Gallery:
    """The tested trigger, and those of other kinds of evidence that are `OUTSTANDING`."""
    shown = {(scanned.tested.kind, scanned.label): scanned.tested.stamp}
    if scanned.recalled is not None and scanned.by_memory:
        label = scanned.recalled.label
        shown = {(e.name, label): stamp for e in scanned.evidence if (stamp := e.stamp_of(label)) is not None} | shown
    for kind in scanned.evidence:
        stamp = kind.stamp_of(kind.label)
        if stamp is not None and scanned.judged.places.get(kind.name, 0.0) > OUTSTANDING:
            shown.setdefault((kind.name, kind.label), stamp)
    files, rows = [], []
    for (name, label), stamp in shown.items():
        images = clean.held_out[torch.from_numpy(clean.others(label)[:2])]
        images = images if len(images) == 2 else images.repeat(2, 1, 1, 1)
        stamped = stamp(images)
        changed = (stamped - images).abs().mean((0, 1))[None]
        pictures = {
            "change": magnified((stamped - images)[0]),
            "where": changed / changed.max().clamp_min(1e-12),
            "clean_1": images[0],
            "stamped_1": stamped[0],
            "clean_2": images[1],
            "stamped_2": stamped[1],
        }
        files.append([save_png(p, context.artefacts / f"{name}_{label}_{key}.png") for key, p in pictures.items()])
        rows.append(f"{name} → {class_name(context.class_names, label)}")
    return Gallery(
        title="Recovered triggers",
        caption="Each row is a kind of trigger and the class it leads to: the change of the first image (grey is "
        "none), where images change, and two images without and with it. Look whether the change is a mark, a pattern "
        "or a warp that somebody could have planted, or draws what the class itself looks like, as a weakness of a "
        "clean model does.",
        columns=["change", "mask", "clean 1", "stamped 1", "clean 2", "stamped 2"],
        rows=rows,
        files=files,
    )


def _table(scanned: Scanned, names: tuple[str, ...], count: int = 20) -> Table:
    """How far labels stand out by every kind of evidence, the most outstanding by the leading kind first."""
    leading, kinds = scanned.leading, scanned.evidence
    order = leading.labels[np.argsort(-leading.strength, kind="stable")[:count]]
    columns = _columns(kinds, int(max(e.labels.max() for e in kinds)) + 1)
    rows: list[list[str | float | None]] = []
    for label in order:
        values = [float(columns[f"strength_{e.name}"][label]) for e in kinds]
        rows.append([class_name(names, int(label)), *(None if np.isnan(v) else round(v, 2) for v in values)])
    places = scanned.judged.places
    clean = ", ".join(f"{e.name} {places[e.name]:+.1f}" for e in kinds if e.name in places)
    return Table(
        title="Labels by kind of evidence",
        caption="How far a label stands out among the labels of this model, larger if more suspicious; empty where it "
        "was not looked at closely."
        + (f" The largest of each column, in standard deviations of clean networks: {clean}." if clean else ""),
        columns=["label", *(e.name for e in kinds)],
        rows=rows,
    )


def _layers(remembered: Remembered, place: float | None, count: int = 20) -> Table:
    """The last layers of batch normalisation, and the place of the deep ones among clean networks."""
    deep = {layer.name for layer in remembered.deep}
    known = "" if place is None else f" Their mean logarithm, in standard deviations of clean networks: {place:+.1f}."
    return Table(
        title="What batch normalisation remembers",
        caption="How far the running means of a layer lie from the means of clean images "
        f"({remembered.handling}, which explains them best), all channels together: Hotelling's T² as an F statistic, "
        f"about 1 where only chance parts them. The last third of the layers counts.{known}",
        columns=["layer", "channels", "distance", "counts"],
        rows=[
            [layer.name, float(len(layer.surplus)), round(layer.distance, 2), "yes" if layer.name in deep else "no"]
            for layer in remembered.layers[-count:]
        ],
    )


def _columns(evidence: list[Evidence], labels: int) -> dict[str, NDArray[np.generic]]:
    """Per-label strengths and values, NaN for labels not looked at."""
    columns: dict[str, NDArray[np.generic]] = {"label": np.arange(labels)}
    for kind in evidence:
        for name, numbers in (("strength", kind.strength), ("value", kind.values)):
            column = np.full(labels, np.nan)
            column[kind.labels] = numbers
            columns[f"{name}_{kind.name}"] = column
    return columns
