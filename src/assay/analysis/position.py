"""Where a model stands among the models that were measured in the same way."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from assay.base.intervals import Bounds, clopper_pearson
from assay.catalogue.catalogue import Catalogue
from assay.catalogue.measurement import Measurement
from assay.catalogue.names import datasets
from assay.catalogue.record import Record

WORDS = {
    "attack_accuracy": "more stealable",
    "surrogate_accuracy": "more stealable",
    "agreement": "more stealable (by agreement)",
    "entropy_auc": "leakier about its training data",
    "correctness_auc": "leakier about its training data (by correctness)",
    "auc_": "leakier about its training data",
    "tpr_at_": "leakier about its training data",
    "success_at_": "more easily evaded",
}
"""What a higher value means, by the metric's name or how it begins; other metrics have no standing."""

FEWEST = 5
"""Models to compare with, below which a standing says nothing."""


class Standing(NamedTuple):
    """A model's place: ``share`` of the ``peers`` lie below it (ties counting one half), under one protocol."""

    metric: str
    protocol: str
    dataset: str
    value: float
    peers: int
    share: float
    interval: Bounds

    @property
    def sentence(self) -> str:
        """In words: more stealable than 83 % of the 46 other CIFAR-10 models measured under the same protocol."""
        words = meaning(self.metric) or ""
        known = datasets().get(self.dataset)
        return (
            f"{words[0].upper()}{words[1:]} than {100 * self.share:.0f} % of the {self.peers} other "
            f"{known.title if known else self.dataset} models measured under the same protocol ({self.protocol}); "
            f"95 % interval {100 * self.interval.low:.0f} to {100 * self.interval.high:.0f} %."
        )


def meaning(metric: str) -> str | None:
    """What a higher value of a metric means, with what tells metrics of one kind apart; None if it is no risk."""
    if metric in WORDS:
        return WORDS[metric]
    kind = next((kind for kind in WORDS if kind.endswith("_") and metric.startswith(kind)), None)
    return f"{WORDS[kind]} ({metric.replace('_', ' ')})" if kind else None


def place(value: float, others: list[float]) -> tuple[float, Bounds]:
    """The share of others below a value, ties counting one half, with its exact interval as a sample of all models."""
    below = sum((other < value) + 0.5 * (other == value) for other in others)
    return below / len(others), clopper_pearson(below, len(others))


def standings(catalogue: Catalogue, record: Record) -> list[Standing]:
    """A record's place in each metric and protocol in which at least `FEWEST` others of its data set were measured.

    Several measurements of one model under one protocol count once, by their mean. Protocols are never mixed.
    """
    dataset = record.facts.dataset
    if dataset is None:
        return []
    groups = by_protocol(catalogue, dataset)
    found = []
    for (protocol, metric), values in sorted(groups.items()):
        others = [value for name, value in values.items() if name != record.id]
        if meaning(metric) and record.id in values and len(others) >= FEWEST:
            share, interval = place(values[record.id], others)
            found.append(Standing(metric, protocol, dataset, values[record.id], len(others), share, interval))
    return found


def by_protocol(catalogue: Catalogue, dataset: str) -> dict[tuple[str, str], dict[str, float]]:
    """(protocol, metric) to record id to the mean of what was measured, for the models of one data set."""
    seen: dict[tuple[str, str], dict[str, list[Measurement]]] = defaultdict(lambda: defaultdict(list))
    for record in catalogue.records:
        if record.facts.dataset == dataset:
            for one in catalogue.measured(record):
                seen[one.protocol, one.metric][record.id].append(one)
    return {
        key: {name: sum(one.value for one in found) / len(found) for name, found in values.items()}
        for key, values in seen.items()
    }
