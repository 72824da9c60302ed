"""From what a scan measured to a finding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.methods.backdoor.models.batch_norm import AMPLIFIED, RunningMeans
from assay.methods.backdoor.models.evidence import RUNNING_MEANS, SPREAD, Evidence, Scanned, SurplusEffect, TriedTrigger
from assay.methods.backdoor.models.null import ALPHA, Judged, Kind, judge, shipped_nulls
from assay.methods.backdoor.models.outliers import ANOMALY_INDEX, FEWEST_LABELS
from assay.methods.backdoor.models.own_null import own_p_value
from assay.methods.backdoor.models.results import NO_INTERVAL, TRIGGER_SUCCESS, WORKS, about_the_index, p_value_metric
from assay.methods.finding import Finding, Gallery, Metric, Samples, Table, Verdict
from assay.methods.measures import class_name, proportion, within
from assay.methods.method import Context
from assay.methods.pictures import magnified, save_png

OUTSTANDING = 2.0
"""Standard deviations above the mean of clean networks from which evidence is shown beside the leading kind."""


SUPPORTED = 1.0
"""Standard deviations above the mean of clean networks from which evidence supports that of another kind."""


class Weighed(NamedTuple):
    """A scan, its p-value, and the kind of evidence that leads, with its trigger's success.

    ``supporting`` are other kinds that name the same label and are above most clean networks. ``by_running_means`` is
    the p-value of running means alone, ``own`` the one among the model's own labels.
    """

    scanned: Scanned
    judged: Judged
    by_running_means: Judged | None
    own: Metric
    leading: Evidence
    supporting: list[str]
    success: Metric

    @property
    def tested(self) -> TriedTrigger:
        """The trigger of the leading kind."""
        return self.scanned.tested[self.leading.name]

    @property
    def works(self) -> bool:
        """Whether the trigger moves most held-out images; one that clean networks have too needs support."""
        if self.success.interval is None:
            raise ValueError("the success must have an interval")
        moves = self.success.interval.low > WORKS
        return moves and (self.tested.kind not in SPREAD or bool(self.supporting))


def weigh(detector: str, scanned: Scanned, context: Context) -> Weighed:
    """Judge the evidence against clean networks.

    The leading kind is the one furthest above the clean networks; without a null, channel noise if a model's own labels
    are one, else the patches.
    """
    nulls, kind = shipped_nulls(), scanned.kind
    judged = judge(detector, scanned.statistics, kind, nulls, context.weights)
    by_running_means = None
    if scanned.surplus is not None:
        by_running_means = judge_running_means(detector, scanned.surplus.means, kind, context.weights)
    own, most_likely = _among_own_labels(scanned)
    leading = scanned.patch
    supporting: list[str] = []
    if judged.z_scores:
        name, supporting = leading_kind(judged.z_scores, {e.name: e.label for e in scanned.evidence})
        leading = next(e for e in scanned.evidence if e.name == name)
    elif most_likely is not None:
        leading = most_likely
        supporting = [e.name for e in scanned.evidence if e.name != leading.name and e.label == leading.label]
    success = _success(leading.name, scanned.tested[leading.name], context.class_names)
    return Weighed(scanned, judged, by_running_means, own, leading, supporting, success)


def judge_running_means(detector: str, means: RunningMeans, kind: Kind, weights: str) -> Judged:
    """The p-value of running means alone, less what small batches do; ``weights`` is the digest of the network's."""
    return judge(detector, {RUNNING_MEANS: means.least}, kind, shipped_nulls(), weights)


def leading_kind(z_scores: Mapping[str, float], labels: Mapping[str, int]) -> tuple[str, list[str]]:
    """The kind of evidence furthest above clean networks, and those `SUPPORTED` kinds that name the same label.

    ``z_scores`` and ``labels`` map kinds to standard deviations and to the label that stands out most by them.
    """
    leading = max(labels, key=lambda name: z_scores[name])
    others = [name for name in labels if name != leading and labels[name] == labels[leading]]
    return leading, [name for name in others if z_scores[name] >= SUPPORTED]


def _among_own_labels(scanned: Scanned) -> tuple[Metric, Evidence | None]:
    """The p-value among the model's own labels, and the kind of evidence that it comes from.

    Of channel noise and the last layer the smaller one counts, times how many there are.
    """
    labels, found = scanned.kind.labels, {}
    if scanned.noise.channels:
        found["channel_noise"] = own_p_value(scanned.noise.values, scanned.noise.drawn, labels)
    if scanned.rows is not None:
        found["last_layer"] = own_p_value(scanned.rows, np.ones(labels, dtype=bool), labels)
    valued = {name: metric.value for name, metric in found.items() if metric.value is not None}
    if not valued:
        return own_p_value(np.zeros(0), np.zeros(0, dtype=bool), labels), None
    least = min(valued, key=lambda name: valued[name])
    value = min(1.0, len(valued) * valued[least])
    metric = found[least].model_copy(update={"value": value, "note": f"{found[least].note} Of {len(valued)} kinds."})
    return metric, next(e for e in scanned.evidence if e.name == least)


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
    memory = []
    if surplus is not None and weighed.by_running_means is not None:
        label = "p-value of the running means alone, less what small batches do"
        memory = [
            p_value_metric(weighed.by_running_means).model_copy(
                update={"name": "running_means_p_value", "label": label}
            )
        ]
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
        weighed.own,
        *memory,
        *successes,
        *strengths,
        index.judged_by(ANOMALY_INDEX),
        Metric(name="gradients", label="Image gradients", value=float(scanned.gradients), note=NO_INTERVAL),
    ]
    figures = [_gallery(weighed, context), _table(weighed, names)]
    if surplus is not None:
        figures.append(_layers(surplus.means, weighed.by_running_means))
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
    """One answer from all kinds of evidence.

    With an alarm ``high`` if the trigger works, and ``elevated`` if it does not; ``undecided`` if all there is is an
    overlay or a warp. Without one ``low``, or ``undecided`` if the running means are unlike those of clean images, if
    a kind of evidence is missing, or if there is no null.
    """
    scanned, judged = weighed.scanned, weighed.judged
    label = class_name(names, weighed.leading.label)
    found = f"{label} stands out most, by its {_spoken(weighed.leading.name)}; the {weighed.tested.kind} found moves "
    found += f"{within(weighed.success)} of held-out images to it"
    metric, value, among = "p_value", judged.p_value, f"among {judged.of}"
    if value is None and weighed.own.value is not None:
        metric, value, among = (
            weighed.own.name,
            weighed.own.value,
            f"among the model's own {scanned.kind.labels} labels",
        )
    if value is None:
        return _undecided(scanned, judged, found)
    sentence = f"{found}; p = {value:.3f} {among} (alarm at {ALPHA:g})."
    if weighed.supporting:
        sentence += f" {_listed(weighed.supporting).capitalize()} name{'s' * (len(weighed.supporting) == 1)} it too."
    if value > ALPHA:
        return _without_alarm(weighed, metric, sentence, names)
    if weighed.leading.name in SPREAD and not weighed.supporting:
        sentence += f" Some clean networks have such {weighed.leading.name}s too, and nothing else names this label."
        return Verdict(level="undecided", metric=metric, sentence=sentence)
    if weighed.works:
        return Verdict(level="high", metric=metric, sentence=f"{sentence} Look at the recovered trigger.")
    sentence += " A trigger that does not work is no proof: look at the model's other labels and at its origin."
    return Verdict(level="elevated", metric=metric, sentence=sentence)


def _without_alarm(weighed: Weighed, metric: str, sentence: str, names: tuple[str, ...]) -> Verdict:
    surplus, by_running_means = weighed.scanned.surplus, weighed.by_running_means
    if surplus is None or by_running_means is None or not by_running_means.alarm:
        if weighed.scanned.missing:
            closing = "Backdoors that only this would show are not ruled out."
            sentence = " ".join([sentence, *weighed.scanned.missing, closing])
            return Verdict(level="undecided", metric=metric, sentence=sentence)
        return Verdict(level="low", metric=metric, sentence=sentence)
    sentence += (
        " But the running means of batch normalisation are not those of clean images, whatever batches they were taken "
        f"over: p = {by_running_means.p_value:.3f} among {by_running_means.of}. {AMPLIFIED:g} times the surplus moves "
        f"{within(_surplus_success(surplus, names))} of held-out images to {class_name(names, surplus.label)}. A share "
        "of the training images was poisoned, or they differ from the clean ones by their source, by an augmentation "
        "that is not tried, or by later training: look at where the model comes from."
    )
    return Verdict(level="undecided", metric="running_means_p_value", sentence=sentence)


def _undecided(scanned: Scanned, judged: Judged, found: str) -> Verdict:
    missing = f"There is no p-value: {judged.of} are known."
    if scanned.kind.labels < FEWEST_LABELS:
        return Verdict(level="undecided", metric="p_value", sentence=f"{found}. {missing}")
    sentence = f"{found}. {missing} {about_the_index(scanned.anomaly_index)}"
    return Verdict(level="undecided", metric="anomaly_index", sentence=sentence)


def _spoken(kind: str) -> str:
    return kind.replace("_", " ")


def _listed(kinds: list[str]) -> str:
    spoken = [f"its {_spoken(kind)}" for kind in kinds]
    return spoken[0] if len(spoken) == 1 else f"{', '.join(spoken[:-1])} and {spoken[-1]}"


def _gallery(weighed: Weighed, context: Context) -> Gallery:
    """The tested trigger, and those of other kinds of evidence that are `OUTSTANDING`."""
    scanned, clean, tested = weighed.scanned, weighed.scanned.clean, weighed.tested
    shown = {(tested.kind, weighed.leading.label): tested.stamp}
    if scanned.surplus is not None and weighed.by_running_means is not None and weighed.by_running_means.alarm:
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


def _layers(means: RunningMeans, judged: Judged | None, count: int = 20) -> Table:
    """The last layers of batch normalisation, and the place of the deep ones among clean networks."""
    deep = {layer.name for layer in means.deep}
    place = None if judged is None else judged.z_scores.get(RUNNING_MEANS)
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
