"""A user's own folder: what was imported, joined and added stays there, one file a source."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from assay.catalogue.entry import Listing, listing, read_listing, write_listing
from assay.catalogue.importers.imported import Imported
from assay.catalogue.measurement import Measurement, read_measurements, write_measurements


def keep(folder: Path, imported: Imported) -> None:
    """Keeps what an importer read; models of that source and id that were kept before are replaced."""
    keep_listing(folder, imported.listing)
    if imported.measurements:
        keep_measurements(folder, imported.listing.source.name, imported.measurements)


def keep_listing(folder: Path, new: Listing) -> None:
    """Keeps a listing beside the models of its source that were kept before."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{new.source.name}.jsonl"
    entries = {entry.id: entry for entry in (read_listing(path).entries if path.exists() else ())}
    entries |= {entry.id: entry for entry in new.entries}
    write_listing(path, listing(new.source, entries.values()))


def keep_measurements(folder: Path, source: str, new: Iterable[Measurement]) -> None:
    """Keeps measurements of a source; of one model, protocol and metric the newest by the same measurer counts."""
    measured = folder / "measured"
    measured.mkdir(parents=True, exist_ok=True)
    path = measured / f"{source}.jsonl"
    kept = {_key(one): one for one in (read_measurements(path) if path.exists() else ())}
    write_measurements(path, (kept | {_key(one): one for one in new}).values())


def _key(one: Measurement) -> tuple[str, str, str, str]:
    return one.record, one.protocol, one.metric, one.source
