"""Storage of imported, joined and added records in the user's folder, one file per source."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from assay.catalogue.entry import Listing, listing, read_listing, write_listing
from assay.catalogue.importers.imported import Imported
from assay.catalogue.measurement import Measurement, read_measurements, write_measurements


def keep(folder: Path, imported: Imported) -> None:
    """Store an import; earlier entries of the same source and id are replaced."""
    keep_listing(folder, imported.listing)
    if imported.measurements:
        keep_measurements(folder, imported.listing.source.name, imported.measurements)


def keep_listing(folder: Path, new: Listing) -> None:
    """Store a listing, merged with the stored entries of its source."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{new.source.name}.jsonl"
    entries = {entry.id: entry for entry in (read_listing(path).entries if path.exists() else ())}
    entries |= {entry.id: entry for entry in new.entries}
    write_listing(path, listing(new.source, entries.values()))


def keep_measurements(folder: Path, source: str, new: Iterable[Measurement]) -> None:
    """Store measurements of a source; a newer one replaces that of the same model, protocol, metric and measurer."""
    measured = folder / "measured"
    measured.mkdir(parents=True, exist_ok=True)
    path = measured / f"{source}.jsonl"
    kept = {_key(one): one for one in (read_measurements(path) if path.exists() else ())}
    write_measurements(path, (kept | {_key(one): one for one in new}).values())


def _key(one: Measurement) -> tuple[str, str, str, str]:
    return one.record, one.protocol, one.metric, one.source
