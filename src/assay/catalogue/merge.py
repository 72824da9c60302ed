"""Merging of the entries of all sources into one record per model, with contradictions kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from assay.catalogue.codebook import Facts, agree
from assay.catalogue.enrich import TABLES, Statement, computed
from assay.catalogue.entry import Entry, Listing
from assay.catalogue.record import Conflict, Record

UNKNOWN: dict[str, Any] = dict.fromkeys(Facts.model_fields)


def merge(listings: Sequence[Listing]) -> list[Record]:
    """One record for each distinct model, sorted by id.

    Entries are one model if a source says so (`Entry.same_as`), if their weights have one address, or if they have one
    digest (a digest's prefix counts as the digest). For each field the first source in the order given that knows it
    takes precedence, after what was computed from the network itself and before the tables of `assay.catalogue.enrich`.
    """
    entries = [entry for listing in listings for entry in listing.entries]
    sources = [listing.source.label for listing in listings for _ in listing.entries]
    records = [_record([entries[i] for i in group], [sources[i] for i in group]) for group in _groups(entries)]
    return sorted(records, key=lambda record: record.id)


def _groups(entries: list[Entry]) -> list[list[int]]:
    parent = list(range(len(entries)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(i: int, j: int) -> None:
        low, high = sorted((root(i), root(j)))
        parent[high] = low

    for same in _same(entries):
        for other in same[1:]:
            join(same[0], other)
    groups = defaultdict(list)
    for i in range(len(entries)):
        groups[root(i)].append(i)
    return list(groups.values())


def _same(entries: list[Entry]) -> Iterator[list[int]]:
    names: dict[str, list[int]] = defaultdict(list)
    addresses: dict[str, list[int]] = defaultdict(list)
    digests = []
    for i, entry in enumerate(entries):
        for name in (entry.id, *entry.same_as):
            names[name].append(i)
        for address in filter(None, (entry.weights_url, *entry.mirrors)):
            addresses[address].append(i)
        if entry.weights_digest:
            digests.append((entry.weights_digest, i))
    yield from names.values()
    yield from addresses.values()
    digests.sort()
    for (one, i), (other, j) in pairwise(digests):
        if other.startswith(one):
            yield [i, j]


def _record(entries: list[Entry], sources: list[str]) -> Record:
    said = [Statement(source, _known(entry)) for source, entry in zip(sources, entries, strict=True)]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    conflicts: list[Conflict] = []

    def add(source: str, known: dict[str, Any], fills: frozenset[str]) -> None:
        for field, value in known.items():
            if field not in values:
                values[field], origins[field] = value, source
            elif field not in fills and not agree(field, values[field], value):
                conflict = Conflict(field=field, value=value, source=source)
                if conflict not in conflicts:
                    conflicts.append(conflict)

    add(*next((found for one in said if (found := computed(one.values)).values), Statement("computed", {})))
    for statement in said:
        add(*statement)
    for table in TABLES:
        add(*table(values))
    return Record.model_construct(
        id=entries[0].id,
        names=tuple(entry.id for entry in entries),
        sources=tuple(dict.fromkeys(sources)),
        facts=Facts.model_construct(set(values), **(UNKNOWN | values)),
        origins=origins,
        conflicts=tuple(conflicts),
        mirrors=tuple(
            dict.fromkeys(
                address
                for entry in entries
                for address in (entry.weights_url, *entry.mirrors)
                if address and address != values.get("weights_url")
            )
        ),
    )


def _known(entry: Entry) -> dict[str, Any]:
    return {field: value for field, value in entry.__dict__.items() if value is not None and field in UNKNOWN}
