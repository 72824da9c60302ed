"""The catalogue as one object: packaged records, the user's own records, and measurements."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path

from assay.base.errors import UsageError, nearest
from assay.catalogue.entry import Listing, read_listing
from assay.catalogue.generate import packaged_files
from assay.catalogue.measurement import Measurement, read_measurements
from assay.catalogue.merge import merge
from assay.catalogue.record import Record
from assay.catalogue.sources import curated


class Catalogue:
    """Records by id, and measurements by record."""

    def __init__(self, records: Iterable[Record], measurements: Iterable[Measurement] = ()) -> None:
        self.records = tuple(records)
        self.measurements = tuple(measurements)

    @cached_property
    def _by_name(self) -> dict[str, Record]:
        return {name: record for record in self.records for name in record.names}

    @cached_property
    def _measured(self) -> dict[str, list[Measurement]]:
        found = defaultdict(list)
        for measurement in self.measurements:
            record = self._by_name.get(measurement.record)
            if record:
                found[record.id].append(measurement)
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def get(self, name: str) -> Record:
        """The record with that id, or with that name in a source.

        Raises:
            UsageError: if there is none; the message names the nearest.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise UsageError(f"The catalogue has no model {name!r}: {nearest(name, self._by_name)}") from None

    def measured(self, record: Record) -> tuple[Measurement, ...]:
        """The measurements of a record, under all protocols."""
        return tuple(self._measured.get(record.id, ()))


def home() -> Path:
    """The folder of a user's own records: ``$ASSAY_HOME/catalogue``, or ``.assay/catalogue`` in the home folder."""
    return Path(os.environ.get("ASSAY_HOME") or Path.home() / ".assay") / "catalogue"


@cache
def packaged() -> tuple[Listing, ...]:
    """The listings shipped with Assay, in order of precedence."""
    return (curated.entries(), *map(read_listing, packaged_files()))


def own(folder: Path) -> list[Listing]:
    """The user's own listings, in the order of their file names."""
    return [read_listing(path) for path in sorted(folder.glob("*.jsonl"))] if folder.is_dir() else []


def load_catalogue(folder: Path | None = None) -> Catalogue:
    """The packaged records, those of ``folder`` (default: `home`), and the folder's measurements.

    Raises:
        LoadError: if one of the user's files is damaged.
        DataError: if two records of one source have one id.
    """
    folder = folder or home()
    measured = [m for path in sorted((folder / "measured").glob("*.jsonl")) for m in read_measurements(path)]
    return Catalogue(merge([*packaged(), *own(folder)]), measured)
