"""The result of an importer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from assay.catalogue.entry import Listing
from assay.catalogue.measurement import Measurement
from assay.catalogue.record import Record


class Imported(NamedTuple):
    """Entries of one source, and what it measured of them."""

    listing: Listing
    measurements: tuple[Measurement, ...] = ()

    def summary(self, records: Iterable[Record]) -> list[str]:
        """A summary of the import in sentences; ``records`` are the catalogue's records after the import."""
        ids = {entry.id for entry in self.listing.entries}
        touched = [record for record in records if not ids.isdisjoint(record.names)]
        known = sum(not ids.issuperset(record.names) for record in touched)
        label = self.listing.source.label
        apart = sum(any(conflict.source == label for conflict in record.conflicts) for record in touched)
        return [
            f"{self.listing.source.title}: {len(ids)} models, {known} of them known before, "
            f"{len(self.measurements)} measurements.",
            f"Of {apart} models it contradicts another source; assay catalogue show says in what.",
        ]
