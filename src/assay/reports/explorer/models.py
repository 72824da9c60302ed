"""Models: the targets of a workspace and the records of the catalogue, one row each and one page each."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from assay.analysis.measured import recorded
from assay.catalogue.annotation import to_text
from assay.catalogue.catalogue import Catalogue
from assay.catalogue.codebook import CODEBOOK
from assay.catalogue.record import Record
from assay.methods.metric import FAMILIES
from assay.reports.decision import PROFILES, concern
from assay.reports.explorer.findings import finding
from assay.reports.format import fact, metric_text, words
from assay.reports.report import Report, assemble
from assay.studies.outcome import Outcome, TargetFacts

NUMBERS: dict[str, str] = {
    "parameters": "parameters",
    "macs": "multiply-accumulates per image",
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "robust_accuracy": "robust accuracy",
    "year": "year",
    "training_size": "training images",
    "classes": "classes",
    "weights_bytes": "bytes of weights",
    "authors": "authors",
}
"""Fields of the catalogue that the correlation browser offers."""


class Model(NamedTuple):
    """A target of the workspace with its outcomes and, if the catalogue knows it, its record; or a record alone.

    ``key`` is what addresses a model: its name, with the digest's first digits where several targets bear the name.
    """

    key: str
    name: str
    outcomes: tuple[Outcome, ...]
    record: Record | None

    @property
    def target(self) -> TargetFacts | None:
        """The target, where there is one."""
        return self.outcomes[0].target if self.outcomes else None


def gather(outcomes: Iterable[Outcome], catalogue: Catalogue) -> list[Model]:
    """The targets by name, then the records of which nothing was measured, by id."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.target.name, outcome.target.digest].append(outcome)
    names = [name for name, _ in groups]
    record_of = recorded(catalogue)
    models = []
    for (name, digest), found in sorted(groups.items()):
        known = record_of(found[0].target)
        record = catalogue.get(known) if known else None
        key = name if names.count(name) == 1 else f"{name} {digest[:8]}"
        models.append(Model(key, name, tuple(sorted(found, key=lambda o: o.key)), record))
    assessed = {model.record.id for model in models if model.record} | {model.key for model in models}
    rest = [record for record in catalogue.records if record.id not in assessed]
    return models + [Model(record.id, record.id, (), record) for record in rest]


def table(models: list[Model], reports: dict[str, Report]) -> dict[str, list[Any]]:
    """What the catalogue page lists, column by column; every column has one entry a model, None where unknown.

    ``levels`` is one text a model: a letter for each question, in the order of `FAMILIES`; ``positions`` are where the
    deciding numbers lie on their scales (see `Metric.position`), which orders equal levels.
    """
    columns: dict[str, list[Any]] = defaultdict(list)
    for model in models:
        facts = model.record.facts if model.record else None
        own = model.target.facts if model.target else {}
        report = reports.get(model.key)
        columns["key"].append(model.key)
        columns["name"].append(model.name)
        columns["dataset"].append((facts.dataset if facts else None) or _dataset(model.target))
        columns["family"].append(facts.model_type if facts else None)
        columns["architecture"].append((facts.architecture if facts else None) or _text(own.get("architecture")))
        columns["licence"].append((facts.licence if facts else None) or _text(own.get("licence")))
        columns["levels"].append(_levels(report))
        columns["positions"].append(_positions(report))
        columns["done"].append(sum(outcome.status == "done" for outcome in model.outcomes))
        columns["failed"].append(sum(outcome.status == "failed" for outcome in model.outcomes))
        for name in NUMBERS:
            value = getattr(facts, name) if facts else None
            columns[name].append(own.get(name) if value is None and _is_number(own.get(name)) else value)
    return columns


def _levels(report: Report | None) -> str:
    found = {answer.family: answer.level for answer in report.answers} if report else {}
    return "".join(found.get(family, "not assessed")[0] for family in FAMILIES)


def _positions(report: Report | None) -> list[float | None]:
    found = {answer.family: answer.metric.position for answer in report.answers if answer.metric} if report else {}
    return [round(found[family], 4) if math.isfinite(found.get(family, math.nan)) else None for family in FAMILIES]


def _dataset(target: TargetFacts | None) -> str | None:
    """The data set that a target was measured on: what the names of its parts begin with."""
    names = [part.name for part in target.data.values()] if target else []
    return names[0].split(" ")[0] if names and names[0] else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def report_of(model: Model) -> Report | None:
    """The four questions and their answers, where something was measured."""
    return assemble(model.outcomes) if model.outcomes else None


def page(model: Model, report: Report | None, protocols: dict[str, str]) -> dict[str, Any]:
    """What a model's own page shows beside its row. ``protocols`` maps a trial's key to its protocol."""
    shown: dict[str, Any] = {"record": _record(model.record) if model.record else None}
    if report is None:
        return shown
    target = report.target
    decision = report.decision()
    return shown | {
        "summary": report.summary,
        "decision": [decision.choice, decision.reason, PROFILES[decision.profile].title],
        "answers": [
            {
                "family": answer.family,
                "level": answer.level,
                "sentence": answer.sentence,
                "metric": metric_text(answer.metric) if answer.metric else "",
                "label": answer.metric.label if answer.metric else "",
                "decided_by": answer.decided_by,
            }
            for answer in concern(report.answers, decision)
        ],
        "target": list(_target(target, report.file_digest)),
        "outcomes": [finding(outcome, protocols[outcome.key]) for outcome in report.outcomes],
    }


def _target(target: TargetFacts, file_digest: str | None) -> Iterator[tuple[str, str]]:
    yield "input", fact(target.input_shape)
    yield "classes", fact(target.num_classes)
    for name, value in target.facts.items():
        if name != "sha256":
            yield words(name), fact(value)
    if file_digest:
        yield "file of weights, SHA-256", file_digest
    yield "network, Assay's digest", target.weights_digest
    yield "network and preprocessing, Assay's digest", target.digest
    for name, value in target.preprocessing.items():
        yield f"preprocessing, {words(name)}", fact(value)
    for part, facts in target.data.items():
        yield f"data, {words(part)}", f"{facts.name}, {fact(facts.size)} images, SHA-256 {facts.digest}"


def _record(record: Record) -> dict[str, Any]:
    known = [(name, getattr(record.facts, name)) for name in CODEBOOK]
    return {
        "id": record.id,
        "names": list(record.names[1:]),
        "sources": list(record.sources),
        "facts": [
            [
                words(name),
                value.model_dump_json() if CODEBOOK[name].kind == "object" else to_text(name, value),
                CODEBOOK[name].unit,
                record.origins[name],
            ]
            for name, value in known
            if value is not None
        ],
        "unknown": [words(name) for name, value in known if value is None],
        "conflicts": [[words(c.field), to_text(c.field, c.value), c.source] for c in record.conflicts],
    }
