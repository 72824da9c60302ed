"""Counts over a catalogue, such as those of SecurityNet's figure 1, and the coverage of each field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, get_args

from assay.catalogue.codebook import CODEBOOK
from assay.catalogue.generate import BUILDING
from assay.catalogue.loading import Loads, loads
from assay.catalogue.record import Record

COUNTED = ("year", "model_type", "country", "dataset", "venue", "purpose")


class Coverage(NamedTuple):
    """Number and share of records in which a field is known."""

    field: str
    known: int
    share: float


class Statistics(NamedTuple):
    """Counts over records.

    ``counts`` maps each of `COUNTED` to its values, most frequent first; a record with two countries counts for both.
    ``buildable`` counts records that an installed package can build; ``with_parameters`` and
    ``with_macs`` count those of them that have parameters and MACs. ``loading`` counts records by how they load.
    """

    records: int
    classifiers: int
    datasets: int
    conflicts: int
    merged: int
    counts: dict[str, dict[str, int]]
    coverage: list[Coverage]
    sources: dict[str, int]
    buildable: int
    with_parameters: int
    with_macs: int
    loading: dict[Loads, int]


def statistics(records: Sequence[Record]) -> Statistics:
    """Compute `Statistics` of records."""
    buildable = [record for record in records if (record.facts.builder or "").split(":")[0] in BUILDING]
    ways = Counter(map(loads, records))
    counts = {field: _counts(records, field) for field in COUNTED}
    known = {field: sum(getattr(record.facts, field) is not None for record in records) for field in CODEBOOK}
    return Statistics(
        records=len(records),
        classifiers=sum(record.facts.task == "image classification" for record in records),
        datasets=len(counts["dataset"]),
        conflicts=sum(bool(record.conflicts) for record in records),
        merged=sum(len(record.names) > 1 for record in records),
        counts=counts,
        coverage=[Coverage(field, n, n / max(1, len(records))) for field, n in known.items()],
        sources=dict(Counter(source for record in records for source in record.sources).most_common()),
        buildable=len(buildable),
        with_parameters=sum(record.facts.parameters is not None for record in buildable),
        with_macs=sum(record.facts.macs is not None for record in buildable),
        loading={way: ways[way] for way in get_args(Loads)},
    )


def _counts(records: Sequence[Record], field: str) -> dict[str, int]:
    values: Counter[str] = Counter()
    for record in records:
        value = getattr(record.facts, field)
        if value is not None:
            values.update(value if isinstance(value, tuple) else [str(value)])
    return dict(sorted(values.items(), key=lambda item: (-item[1], item[0])))
