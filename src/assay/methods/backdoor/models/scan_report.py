"""From what a scan measured to a finding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.methods.backdoor.models.batch_norm import AMPLIFIED, RunningMeans
from assay.methods.backdoor.models.evidence import RUNNING_MEANS, Evidence, Scanned, SurplusEffect, TriedTrigger
from assay.methods.backdoor.models.null import ALPHA, Judged, judge, shipped_nulls
from assay.methods.backdoor.models.outliers import ANOMALY_INDEX, FEWEST_LABELS
from assay.methods.backdoor.models.results import NO_INTERVAL, TRIGGER_SUCCESS, WORKS, about_the_index, p_value_metric
from assay.methods.finding import Finding, Gallery, Metric, Samples, Table, Verdict
from assay.methods.measures import class_name, proportion, within
from assay.methods.method import Context
from assay.methods.pictures import magnified, save_png

OUTSTANDING = 2.0
"""Standard deviations above the mean of clean networks from which evidence is shown beside the leading kind."""


class Weighed(NamedTuple):
    """A scan, its p-value, and the kind of evidence that leads among those of labels, with its trigger's success.

    ``labels_alone`` is the p-value without running means.
    """

    scanned: Scanned
    judged: Judged
    labels_alone: Judged
    leading: Evidence
    success: Metric

    @property
    def tested(self) -> TriedTrigger:
        """The trigger of the leading kind."""
        return self.scanned.tested[self.leading.name]

    @property
    def by_running_means(self) -> bool:
        """Whether the running means are further above clean networks than any label."""
        z_scores = self.judged.z_scores
        return z_scores.get(RUNNING_MEANS, -np.inf) > z_scores.get(self.leading.name, np.inf)


def weigh(detector: str, scanned: Scanned, context: Context) -> Weighed:
    """Judge the evidence against clean networks.

    The leading kind is the one furthest above the clean networks; without a null, the patches.
    """
    statistics = scanned.statistics
    judged = labels_alone = judge(detector, statistics, scanned.kind, shipped_nulls(), context.weights)
    if scanned.surplus is not None:
        statistics = {**statistics, RUNNING_MEANS: scanned.surplus.means.strength}
        judged = judge(detector, statistics, scanned.kind, shipped_nulls(), context.weights)
    leading = scanned.patch
    if judged.z_scores:
        leading = max(scanned.evidence, key=lambda e: judged.z_scores[e.name])
    success = _success(leading.name, scanned.tested[leading.name], context.class_names)
    return Weighed(scanned, judged, labels_alone, leading, success)


def scan_finding(detector: str, scanned: Scanned, context: Context) -> Finding:
    """Judge the evidence against clean networks, and report."""
    weighed = weigh(detector, scanned, context)
    surplus, names = scanned.surplus, context.class_names
    successes = [_success(kind, tested, names) for kind, tested in scanned.tested.items()]
    strengths = [
        Metric(
            name=f"strength_{e.name}",
            label=f"How far the most outstanding label stands out: {e.meaning}",
            value=float(e.strength.max()),
            note=f"Label {class_name(names, e.label)}. {NO_INTERVAL}",
        )
        for e in scanned.evidence
    ]
    if surplus is not None:
        successes.append(_surplus_success(surplus, names))
        strengths.append(
            Metric(
                name=f"strength_{RUNNING_MEANS}",
                label="Logarithm of how far the running means of batch normalisation lie from clean images",
                value=surplus.means.strength,
                note=f"Clean images {surplus.means.augmentation}; 0 is chance. {NO_INTERVAL}",
            )
        )
    index = Metric(
        name="anomaly_index", label="Largest anomaly index of a patch", value=scanned.anomaly_index, note=NO_INTERVAL
    )
    metrics = [
        weighed.success.model_copy(update={"name": "trigger_success"}),
        p_value_metric(weighed.judged),
        *successes,
        *strengths,
        index.judged_by(ANOMALY_INDEX),
        Metric(name="gradients", label="Image gradients", value=float(scanned.gradients), note=NO_INTERVAL),
    ]
    figures = [_gallery(weighed, context), _table(weighed, names)]
    if surplus is not None:
        figures.append(_layers(surplus.means, weighed.judged.z_scores.get(RUNNING_MEANS)))
    columns = _columns(scanned.evidence, scanned.kind.labels)
    return Finding(
        metrics=metrics,
        verdict=_verdict(weighed, names),
        figures=figures,
        samples=Samples(np.arange(scanned.kind.labels), part="labels", columns=columns),
    )


def _success(kind: str, tested: TriedTrigger, names: tuple[str, ...]) -> Metric:
    label = f"Success on held-out images of the trigger towards the label that stands out by its {kind}"
    note = f"The {tested.kind} towards {class_name(names, tested.label)}; of images that the network calls otherwise."
    return proportion(f"success_{kind}", label, tested.moved, note).judged_by(TRIGGER_SUCCESS)


def _surplus_success(surplus: SurplusEffect, names: tuple[str, ...]) -> Metric:
    label = "Held-out images that the surplus in the running means of batch normalisation leads to one label"
    note = f"{AMPLIFIED:g} times, towards {class_name(names, surplus.label)}; of images that the network calls "
    metric = proportion(f"success_{RUNNING_MEANS}", label, surplus.moved, f"{note}otherwise.")
    return metric.judged_by(TRIGGER_SUCCESS)


def _verdict(weighed: Weighed, names: tuple[str, ...]) -> Verdict:
    """``high`` if p raises an alarm and the trigger works, ``elevated`` if only p does; without a null ``undecided``.

    Where the running means lead, their surplus counts as a trigger; if it does not work, a label may still lead.
    """
    scanned, judged, success = weighed.scanned, weighed.judged, weighed.success
    if success.interval is None:
        raise ValueError("the success must have an interval")
    works = success.interval.low > WORKS
    if scanned.surplus is not None and weighed.by_running_means and judged.alarm:
        verdict = _verdict_by_running_means(scanned.surplus, judged, names)
        if verdict.level == "high" or not (weighed.labels_alone.alarm and works):
            return verdict
    found = f"{class_name(names, weighed.leading.label)} stands out most, by its {weighed.leading.name}; the "
    found += f"{weighed.tested.kind} found moves {within(success)} of held-out images to it"
    if judged.p_value is None:
        return _undecided(scanned, judged, found)
    sentence = f"{found}; p = {judged.p_value:.3f} among {judged.of} (alarm at {ALPHA:g})."
    if not judged.alarm:
        return Verdict(level="low", metric="p_value", sentence=sentence)
    if works:
        return Verdict(level="high", metric="p_value", sentence=f"{sentence} Look at the recovered trigger.")
    sentence += " A trigger that does not work is no proof: look at the model's other labels and at its origin."
    return Verdict(level="elevated", metric="p_value", sentence=sentence)


def _undecided(scanned: Scanned, judged: Judged, found: str) -> Verdict:
    missing = f"There is no p-value: {judged.of} are known."
    if scanned.kind.labels < FEWEST_LABELS:
        return Verdict(level="undecided", metric="p_value", sentence=f"{found}. {missing}")
    sentence = f"{found}. {missing} {about_the_index(scanned.anomaly_index)}"
    return Verdict(level="undecided", metric="anomaly_index", sentence=sentence)


def _verdict_by_running_means(surplus: SurplusEffect, judged: Judged, names: tuple[str, ...]) -> Verdict:
    """``high`` if the surplus moves most images to one label, as a trigger would; else ``elevated``."""
    success = _surplus_success(surplus, names)
    assert success.interval is not None
    sentence = (
        "The running means of batch normalisation are not those of clean images: "
        f"p = {judged.p_value:.3f} among {judged.of} (alarm at {ALPHA:g}). {AMPLIFIED:g} times the surplus moves "
        f"{within(success)} of held-out images to {class_name(names, surplus.label)}"
    )
    if success.interval.low > WORKS:
        sentence += ", as the trigger of poisoned training images does. Look at the triggers found for this label."
        return Verdict(level="high", metric="p_value", sentence=sentence)
    sentence += (
        ": no proof. A share of the training images was poisoned, or they differ from the clean ones by their source "
        "or by an augmentation that is not tried: look at where the model comes from."
    )
    return Verdict(level="elevated", metric="p_value", sentence=sentence)


def _gallery(weighed: Weighed, context: Context) -> Gallery:
    """The tested trigger, and those of other kinds of evidence that are `OUTSTANDING`."""
    scanned, clean, tested = weighed.scanned, weighed.scanned.clean, weighed.tested
    shown = {(tested.kind, weighed.leading.label): tested.stamp}
    if scanned.surplus is not None and weighed.by_running_means:
        label = scanned.surplus.label
        shown = {(e.name, label): stamp for e in scanned.evidence if (stamp := e.stamp_of(label)) is not None} | shown
    for kind in scanned.evidence:
        stamp = kind.stamp_of(kind.label)
        if stamp is not None and weighed.judged.z_scores.get(kind.name, 0.0) > OUTSTANDING:
            shown.setdefault((kind.name, kind.label), stamp)
    files, rows = [], []
    for (name, label), stamp in shown.items():
        images = clean.held_out[clean.others(label)[:2]]
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


def _table(weighed: Weighed, names: tuple[str, ...], count: int = 20) -> Table:
    """How far labels stand out by every kind of evidence, the most outstanding by the leading kind first."""
    leading, kinds = weighed.leading, weighed.scanned.evidence
    order = leading.labels[np.argsort(-leading.strength, kind="stable")[:count]]
    columns = _columns(kinds, int(max(e.labels.max() for e in kinds)) + 1)
    rows: list[list[str | float | None]] = []
    for label in order:
        values = [float(columns[f"strength_{e.name}"][label]) for e in kinds]
        rows.append([class_name(names, int(label)), *(None if np.isnan(v) else round(v, 2) for v in values)])
    z_scores = weighed.judged.z_scores
    clean = ", ".join(f"{e.name} {z_scores[e.name]:+.1f}" for e in kinds if e.name in z_scores)
    return Table(
        title="Labels by kind of evidence",
        caption="How far a label stands out among the labels of this model, larger if more suspicious; empty where it "
        "was not looked at closely."
        + (f" The largest of each column, in standard deviations of clean networks: {clean}." if clean else ""),
        columns=["label", *(e.name for e in kinds)],
        rows=rows,
    )


def _layers(means: RunningMeans, place: float | None, count: int = 20) -> Table:
    """The last layers of batch normalisation, and the place of the deep ones among clean networks."""
    deep = {layer.name for layer in means.deep}
    known = "" if place is None else f" Their mean logarithm, in standard deviations of clean networks: {place:+.1f}."
    return Table(
        title="Running means of batch normalisation",
        caption="How far the running means of a layer lie from the means of clean images "
        f"({means.augmentation}, which explains them best), all channels together: Hotelling's T² as an F statistic, "
        f"about 1 where only chance parts them. The last third of the layers counts.{known}",
        columns=["layer", "channels", "distance", "counts"],
        rows=[
            [layer.name, float(len(layer.surplus)), round(layer.distance, 2), "yes" if layer.name in deep else "no"]
            for layer in means.layers[-count:]
        ],
    )


def _columns(evidence: list[Evidence], labels: int) -> dict[str, NDArray[np.generic]]:
    """Per-label strengths and values, NaN for labels not looked at."""
    columns: dict[str, NDArray[np.generic]] = {}
    for kind in evidence:
        for name, numbers in (("strength", kind.strength), ("value", kind.values)):
            column = np.full(labels, np.nan)
            column[kind.labels] = numbers
            columns[f"{name}_{kind.name}"] = column
    return columns
