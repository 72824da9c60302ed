"""What inverted triggers amount to: metrics, pictures and the verdict."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.intervals import Floats
from assay.methods.backdoor.inversion.search import Search
from assay.methods.backdoor.models.clean import Clean
from assay.methods.backdoor.models.null import ALPHA, P_VALUE, Judged, Kind
from assay.methods.backdoor.models.outliers import ANOMALY_INDEX, PAPERS_INDEX
from assay.methods.finding import Gallery, Metric, Samples, Scale, Table, Verdict
from assay.methods.measures import class_name, percent, proportion, within
from assay.methods.method import Context
from assay.methods.pictures import save_png

WORKS = 0.5
"""A recovered trigger that moves no more than this share of held-out images (by the lower bound) explains nothing."""

TRIGGER_SUCCESS = Scale(risk="up", chance=0.0, high=WORKS)
"""What the success of a recovered trigger is judged by."""

MOST_SHOWN = 3
"""Labels in a gallery at most."""

NO_INTERVAL = "One number of this model; no interval."


class Inverted(NamedTuple):
    """The finished triggers of a search: its ``arms`` (k,), their ``sizes``, ``leads`` and ``indices`` (k,).

    ``unit`` says what sizes count, ``area`` is how many of them an image has. ``moved`` bool (m,) says of the held-out
    images of other labels whether the smallest trigger moves them. ``gradients`` are those of images that it all took.
    """

    search: Search
    arms: NDArray[np.int64]
    sizes: Floats
    leads: Floats
    indices: Floats
    unit: str
    area: int
    moved: NDArray[np.bool_]
    clean: Clean
    kind: Kind
    gradients: int

    @property
    def suspect(self) -> int:
        """The place among the finished arms, 0 to k - 1, of the smallest trigger."""
        return int(self.sizes.argmin())

    @property
    def anomaly_index(self) -> float:
        """The anomaly index of the smallest trigger."""
        return float(self.indices[self.suspect])

    @property
    def share(self) -> float:
        """The size of the smallest trigger, as a share of the area."""
        return float(self.sizes[self.suspect]) / self.area

    @property
    def ratio(self) -> float:
        """The median size of the others over the smallest."""
        return float(np.exp(self.leads[self.suspect]))

    def label(self, place: int) -> int:
        """The label that a finished arm's trigger leads to."""
        return int(self.search.labels[self.arms[place]])


def held_out_success(found: Inverted, names: tuple[str, ...]) -> Metric:
    """The share of held-out images of other labels that the smallest trigger moves."""
    note = f"Towards {class_name(names, found.label(found.suspect))}; over images that the network calls otherwise."
    label = "Success of the smallest trigger on held-out images"
    return proportion("trigger_success", label, found.moved, note).judged_by(TRIGGER_SUCCESS)


def inversion_metrics(found: Inverted, success: Metric, judged: Judged) -> list[Metric]:
    """``trigger_success`` first, then ``p_value``, ``anomaly_index``, ``size_share``, ``lead``, ``gradients``."""
    index = _number("anomaly_index", "Anomaly index of the smallest trigger", found.anomaly_index)
    return [
        success,
        _number("lead", "Log of the median size of the others over the smallest", found.leads[found.suspect]),
        p_value_metric(judged),
        index.judged_by(ANOMALY_INDEX),
        _number("flagged_labels", "Labels flagged by the index alone", int((found.indices > PAPERS_INDEX).sum())),
        _number("size_share", f"Size of the smallest trigger, share of the {found.unit}", found.share),
        _number("size_ratio", "Median size of the other triggers, over the smallest", found.ratio),
        _number("gradients", "Image gradients", found.gradients),
    ]


def p_value_metric(judged: Judged) -> Metric:
    """The calibrated p-value, or None with the reason."""
    note = f"Against {judged.of}." if judged.p_value is not None else f"Only {judged.of}: too few for a p-value."
    label, value = "Calibrated p-value", judged.p_value
    return Metric(name="p_value", label=label, value=value, n=judged.models, note=note, scale=P_VALUE)


def _number(name: str, label: str, value: float) -> Metric:
    return Metric(name=name, label=label, value=float(value), note=NO_INTERVAL)


def inversion_verdict(
    found: Inverted, success: Metric, judged: Judged, names: tuple[str, ...], enough: bool
) -> Verdict:
    """By the p-value: ``high`` if it raises an alarm and the trigger works, ``elevated`` if only it does.

    Else the verdict is ``undecided`` and weak: triggers of one form were looked for. Without a null it is, too: the
    paper's index, which takes ``enough`` labels, flags too many clean models to raise anything.
    """
    if success.interval is None:
        raise ValueError("the success must have an interval")
    sentence = (
        f"The smallest trigger leads to {class_name(names, found.label(found.suspect))}: {percent(found.share)} of the "
        f"{found.unit}, {found.ratio:.1f} times smaller than the median of the others, moving {within(success)} of "
        "held-out images"
    )
    if judged.p_value is None:
        return _undecided(found, sentence, judged, enough)
    sentence += f"; p = {judged.p_value:.3f} among {judged.of} (alarm at {ALPHA:g})."
    if not judged.alarm:
        if found.anomaly_index > PAPERS_INDEX:
            sentence += f" {about_the_index(found.anomaly_index)}"
        sentence += " Triggers of other forms were not looked for: backdoor.scan would decide."
        return Verdict(level="undecided", metric="p_value", sentence=sentence, weak=True)
    if success.interval.low > WORKS:
        return Verdict(level="high", metric="p_value", sentence=f"{sentence} Look at the recovered trigger.")
    sentence += " A trigger that does not work is no proof: look at the model's origin."
    return Verdict(level="elevated", metric="p_value", sentence=sentence)


def _undecided(found: Inverted, sentence: str, judged: Judged, enough: bool) -> Verdict:
    missing = f"There is no p-value: {judged.of} are known."
    if not enough:
        sentence = f"{sentence}. With so few labels none can be an outlier. {missing}"
        return Verdict(level="undecided", metric="p_value", sentence=sentence, weak=True)
    sentence = f"{sentence}. {missing} {about_the_index(found.anomaly_index)}"
    return Verdict(level="undecided", metric="anomaly_index", sentence=sentence, weak=True)


def about_the_index(index: float) -> str:
    """What an anomaly index is worth, in a sentence."""
    where = "above" if index > PAPERS_INDEX else "not above"
    rule = f"Its anomaly index of {index:.1f} is {where} {PAPERS_INDEX:g}, a rule that flags about a third of clean"
    return f"{rule} models with ten labels and decides nothing."


def label_table(found: Inverted, names: tuple[str, ...], count: int = 20) -> Table:
    """The ``count`` smallest triggers."""
    order = np.argsort(found.sizes, kind="stable")[:count]
    rows: list[list[str | float | None]] = [
        [
            class_name(names, found.label(place)),
            round(float(found.sizes[place]), 3),
            round(float(found.sizes[place]) / found.area, 4),
            round(float(found.indices[place]), 2),
            percent(float(found.search.success[found.arms[place]])),
            int(found.search.rounds[found.arms[place]]),
        ]
        for place in order
    ]
    return Table(
        title="Triggers by label, the smallest first",
        caption=f"An index above {PAPERS_INDEX:g} is Neural Cleanse's rule for a backdoor; it is often wrong on clean "
        "models. Compare sizes: a planted trigger is several times smaller than the others.",
        columns=["label", f"size ({found.unit})", "share", "anomaly index", "success in the search", "rounds"],
        rows=rows,
    )


def trigger_gallery(found: Inverted, context: Context) -> Gallery:
    """Recovered trigger, mask and stamped images of the suspicious labels, or of the smallest trigger if there is none.

    Suspicious are labels above the papers' index, `MOST_SHOWN` at most.
    """
    order = np.argsort(found.sizes, kind="stable")[:MOST_SHOWN]
    places = [int(place) for place in order if found.indices[place] > PAPERS_INDEX] or [int(order[0])]
    clean = found.clean
    grey = torch.full((1, *clean.held_out.shape[1:]), 0.5)
    files, rows = [], []
    for place in places:
        arm, label = int(found.arms[place]), found.label(place)
        shown = clean.held_out[clean.others(label)[:2]]
        pictures = {
            "trigger": found.search.stamped(grey, arm)[0],
            "mask": found.search.mask(arm),
            **{f"clean_{i}": image for i, image in enumerate(shown)},
            **{f"stamped_{i}": image for i, image in enumerate(found.search.stamped(shown, arm))},
        }
        files.append([save_png(image, context.artefacts / f"{name}_{label}.png") for name, image in pictures.items()])
        rows.append(class_name(context.class_names, label))
    pairs = [f"{kind} {i + 1}" for kind in ("clean", "stamped") for i in range(len(shown))]
    return Gallery(
        title="Recovered triggers",
        caption="Each row is a label: the trigger on grey, where it acts, images, and the same with the trigger. "
        "Look whether the trigger is a compact mark (a planted patch) or looks like the class itself (a weakness of a "
        "clean model).",
        columns=["trigger", "mask", *pairs],
        rows=rows,
        files=files,
    )


def inversion_samples(found: Inverted) -> Samples:
    """Sizes and the like of every label whose trigger is finished."""
    columns: dict[str, NDArray[np.generic]] = {
        "size": found.sizes,
        "anomaly_index": found.indices,
        "lead": found.leads,
        "search_success": found.search.success[found.arms],
        "rounds": found.search.rounds[found.arms],
    }
    return Samples(found.search.labels[found.arms], part="labels", columns=columns)
