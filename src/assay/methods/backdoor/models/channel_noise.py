"""Targeted channel noise: how little has to be added to a network's channels so that all images become one label."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.base.intervals import Floats
from assay.base.progress import Step
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.backdoor.inversion.rules import Arms, Flags
from assay.methods.backdoor.models.clean import clean_images
from assay.methods.backdoor.models.layers import last_weight
from assay.methods.backdoor.models.noise import channels_of, least_lengths
from assay.methods.backdoor.models.null import Kind, judge, kind_of, shipped_nulls
from assay.methods.backdoor.models.outliers import above_others
from assay.methods.backdoor.models.own_null import decide, own_p_value
from assay.methods.backdoor.models.results import NO_INTERVAL, p_value_metric
from assay.methods.finding import Finding, Metric, Samples, Table, Verdict
from assay.methods.measures import class_name
from assay.methods.method import Context, WhiteBoxMethod, method
from assay.methods.work import Sizes, Work


class Noise(NamedTuple):
    """How much noise it takes: of ``labels`` (k,) the least ``lengths`` (k,), in roots of the number of channels.

    ``drawn`` (k,) says which labels were not chosen because they look suspicious. ``channels`` is how many channels the
    noise is on, 0 for a network that none was looked for in; ``lengths`` are NaN then.
    """

    labels: Arms
    lengths: Floats
    drawn: Flags
    channels: int
    kind: Kind
    gradients: int

    @property
    def values(self) -> Floats:
        """``-log(length)`` (k,): larger for labels that less noise leads to."""
        return -np.log(self.lengths)

    @property
    def strength(self) -> Floats:
        """How far each label's value lies above the median of the others, (k,)."""
        return above_others(self.values)


class NoiseOptions(NamedTuple):
    """How noise is searched: lengths, in roots of the number of channels, steps between them, and labels at most."""

    least: float = 0.004
    largest: float = 0.4
    steps: int = 20
    most_labels: int = 64
    suspects: int = 16


def noise_towards(
    box: WhiteBox, images: torch.Tensor, options: NoiseOptions, chance: torch.Generator, bar: Step
) -> Noise:
    """Find the least noise towards every label, or towards suspicious and random ones of many.

    ``images`` (n, c, h, w) are clean. Nothing is searched in a transformer, for which no clean ones are known. Where
    batch normalisation can be folded it is: noise in deviations of a channel is the same before and after it.
    """
    kind, quick = kind_of(box), box.quick()
    labels, drawn = _chosen(box, options, chance)
    channels = [] if kind.transformer else channels_of(quick, images)
    count = sum(channel.size for channel in channels)
    if not count:
        return Noise(labels, np.full(len(labels), np.nan), drawn, 0, kind, box.ledger.gradients)
    lengths = np.geomspace(options.least, options.largest, options.steps)
    least = least_lengths(quick, channels, labels, images, lengths * count**0.5, bar) / count**0.5
    return Noise(labels, least, drawn, count, kind, box.ledger.gradients)


def _chosen(box: WhiteBox, options: NoiseOptions, chance: torch.Generator) -> tuple[Arms, Flags]:
    """All labels if they are few; else those with the largest rows in the last layer, and as many random others."""
    order = torch.randperm(box.num_classes, generator=chance).numpy()
    if box.num_classes <= options.most_labels:
        return np.arange(box.num_classes), np.ones(box.num_classes, dtype=bool)
    weight = last_weight(box, torch.full((1, *box.input_shape), 0.5))
    ranked = order[:0] if weight is None else np.argsort(-weight.mean(1).numpy(), kind="stable")
    suspects = ranked[: options.suspects]
    controls = order[~np.isin(order, suspects)][: options.suspects]
    labels = np.sort(np.concatenate([suspects, controls]))
    return labels, ~np.isin(labels, suspects)


@method
class ChannelNoise(WhiteBoxMethod[Noise]):
    """A small change of channels that leads all images to one label, which a backdoor's target has and others have not.

    One number for every channel of every convolution and dense layer but the last, in standard deviations of the
    channel on clean images, the same for all images and places. What counts is the least length of all these numbers
    under which the cross-entropy towards the label falls below 1. A backdoor is such a change, whatever its trigger
    looks like: no form of trigger is assumed, and no statistics of the training. Easy labels lead in clean networks
    too, so that the largest lead is judged by clean networks of like kind, or by the model's own labels where these
    are many.
    """

    name = "backdoor.channel_noise"
    about = About(
        title="Targeted channel noise",
        summary="Looks for a label that a small change inside the network leads all images to, whatever the trigger.",
        paper="Assay's own; neuron noise for backdoors goes back to Wu and Wang (ANP, NeurIPS 2021).",
        threat_model=(
            "Somebody who trained the model, or poisoned its training data, may have planted a backdoor of whatever "
            "kind that leads to one class. The examiner has the network and about a hundred clean images, without "
            "labels."
        ),
    )
    parts = ("non_members",)
    presets = {"quick": {}, "standard": {}, "full": {}}
    covered_by = "backdoor.scan"

    images: int = Field(default=64, ge=8, description="Clean images, at most.")
    steps: int = Field(default=20, ge=2, description="Gradient steps, over which the length of the noise grows.")
    least: float = Field(default=0.004, gt=0, description="First length, in roots of the number of channels.")
    largest: float = Field(default=0.4, gt=0, description="Last length; it grows by an equal factor a step.")
    most_labels: int = Field(default=64, ge=3, description="Labels up to which noise is looked for towards each.")
    suspects: int = Field(default=16, ge=1, description="Of more labels, the most suspicious, and as many random ones.")

    def work(self, sizes: Sizes) -> Work | None:
        """A gradient an image, step and label; of many labels the suspicious and as many random ones."""
        labels = sizes.classes if sizes.classes <= self.most_labels else 2 * self.suspects
        return Work(forwards=4 * self.images, gradients=self.steps * labels * self.images)

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> Noise:
        """Implements `WhiteBoxMethod.measure`.

        Raises:
            DataError: if clean images are missing, too few, or of one class.
            AccessError: if there are no usable gradients, or the network ignores its input.
        """
        clean = clean_images(access, data, self.images, self.images, context.generator("channel noise: images"))
        options = NoiseOptions(self.least, self.largest, self.steps, self.most_labels, self.suspects)
        chance = context.generator("channel noise: labels")
        with context.progress.step(self.about.title, self.steps) as bar:
            return noise_towards(access, clean.search, options, chance, bar)

    def account(self, result: Noise, context: Context) -> Finding:
        if not result.channels:
            return _without(result)
        strength = result.strength
        top = int(strength.argmax())
        lead = float(strength[top])
        judged = judge(self.name, {"lead": lead}, result.kind, shipped_nulls(), context.weights)
        own = own_p_value(result.values, result.drawn, result.kind.labels)
        name = class_name(context.class_names, int(result.labels[top]))
        found = (
            f"Noise on {result.channels} channels leads most easily to {name}: {np.exp(lead):.1f} times less does it"
        )
        found += " than for the median of the others"
        metrics = [
            p_value_metric(judged),
            own,
            Metric(name="lead", label="Log of the others' noise over the least", value=lead, note=NO_INTERVAL),
            Metric(name="length", label="Least noise", value=float(result.lengths[top]), note=NO_INTERVAL),
            Metric(name="channels", label="Channels", value=float(result.channels), note=NO_INTERVAL),
            Metric(name="gradients", label="Image gradients", value=float(result.gradients), note=NO_INTERVAL),
        ]
        columns = {"least_noise": result.lengths, "lead": strength, "drawn": result.drawn}
        return Finding(
            metrics=metrics,
            verdict=decide(found, judged, own),
            figures=[_table(result, context.class_names)],
            samples=Samples(result.labels, part="labels", columns=columns),
        )


def _table(result: Noise, names: tuple[str, ...]) -> Table:
    strength = result.strength
    rows: list[list[str | float | None]] = [
        [class_name(names, int(result.labels[i])), float(f"{result.lengths[i]:.4g}"), round(float(strength[i]), 2)]
        for i in np.argsort(-strength, kind="stable")[:20]
    ]
    return Table(
        title="Labels by what channel noise does",
        caption="The least noise that leads images to a label, a channel's root mean square in its deviations, and the "
        "logarithm of the median of the others over it. A label that takes much less than others is suspicious.",
        columns=["label", "least noise", "lead"],
        rows=rows,
    )


def no_noise(noise: Noise) -> list[str]:
    """Why no noise was looked for, a sentence; empty if it was."""
    if noise.channels:
        return []
    why = "It has no convolution or dense layer before its last one"
    if noise.kind.transformer:
        why = "Noise on the channels of a transformer is not calibrated"
    return [f"{why}: what channel noise would tell is missing."]


def _without(noise: Noise) -> Finding:
    (note,) = no_noise(noise)
    metric = Metric(name="p_value", label="Calibrated p-value", value=None, note=note)
    return Finding(metrics=[metric], verdict=Verdict(level="undecided", metric="p_value", sentence=note, weak=True))
