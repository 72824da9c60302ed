"""What an importer hands back."""

from __future__ import annotations

from typing import NamedTuple

from assay.catalogue.entry import Listing
from assay.catalogue.measurement import Measurement


class Imported(NamedTuple):
    """Entries of one source, and what it measured of them."""

    listing: Listing
    measurements: tuple[Measurement, ...] = ()
