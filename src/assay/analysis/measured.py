"""Outcomes of a workspace as measurements of catalogued models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from assay.base.digests import digest_json
from assay.base.errors import UsageError
from assay.catalogue.catalogue import Catalogue
from assay.catalogue.measurement import Measurement
from assay.studies.outcome import Outcome, TargetFacts
from assay.studies.workspace import Workspace


class Joined(NamedTuple):
    """Measurements of catalogued models, and the names of targets that the catalogue does not know."""

    measurements: list[Measurement]
    unknown: list[str]

    def summary(self) -> list[str]:
        """What was joined, and what could not be, in sentences."""
        models = len({one.record for one in self.measurements})
        missing = [f"{name} is not in the catalogue; assay catalogue add adds it." for name in self.unknown]
        return [f"{len(self.measurements)} measurements of {models} models joined.", *missing]


def read_outcomes(workspace: Path) -> list[Outcome]:
    """The outcomes of a workspace.

    Raises:
        UsageError: if there is no such workspace.
        WorkspaceError: if it cannot be read.
    """
    if not workspace.is_dir():
        raise UsageError(f"There is no workspace {workspace}.")
    return Workspace(workspace).outcomes()


def measurements(outcomes: Iterable[Outcome], catalogue: Catalogue, source: str) -> Joined:
    """Every metric of every finished outcome whose target is in the catalogue, by the digest of its weights or by name.

    ``source`` says whose workspace it is. Seeds of one trial are one measurement: their mean, without an interval.
    """
    record_of = recorded(catalogue)
    found, unknown = [], []
    for outcome in outcomes:
        if outcome.status != "done":
            continue
        record = record_of(outcome.target)
        if record is None:
            unknown.append(outcome.target.name)
            continue
        found += [
            Measurement(
                record=record,
                protocol=protocol(outcome),
                metric=metric.name,
                value=metric.value,
                low=metric.interval.low if metric.interval else None,
                high=metric.interval.high if metric.interval else None,
                n=metric.n,
                source=source,
            )
            for metric in outcome.metrics
            if metric.value is not None
        ]
    return Joined(_over_seeds(found), sorted(set(unknown)))


def recorded(catalogue: Catalogue) -> Callable[[TargetFacts], str | None]:
    """A function from a target to the id of its record: by the digest of its weights, else by name; None if unknown."""
    by_digest = {
        record.facts.weights_digest.removeprefix("sha256:"): record.id
        for record in catalogue.records
        if record.facts.weights_digest and record.facts.weights_digest.startswith("sha256:")
    }
    names = {name: record.id for record in catalogue.records for name in record.names}
    return lambda target: by_digest.get(target.weights_digest) or names.get(target.name)


def _over_seeds(found: list[Measurement]) -> list[Measurement]:
    groups: dict[tuple[str, str, str], list[Measurement]] = defaultdict(list)
    for one in found:
        groups[one.record, one.protocol, one.metric].append(one)
    return [
        group[0]
        if len(group) == 1
        else group[0].model_copy(update={"value": fmean(one.value for one in group), "low": None, "high": None})
        for group in groups.values()
    ]


def protocol(outcome: Outcome) -> str:
    """How an outcome was measured, whatever the model: method, version, options, access and the data's names and sizes.

    Two outcomes with one protocol may be compared; the eight digits tell apart what the words leave out.
    """
    method = outcome.method
    how = {
        "method": [method.name, method.version, method.options],
        "serving": outcome.serving,
        "data": {part: [facts.name, facts.size] for part, facts in outcome.target.data.items()},
    }
    return f"{method.name} v{method.version} #{digest_json(how)[:8]}"
