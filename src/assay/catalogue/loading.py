"""Which models of the catalogue load by their id, and from where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from assay.catalogue.curated import curated
from assay.catalogue.record import Record

Loads = Literal["offline", "online", "never"]
"""``offline``: the weights are shipped with Assay. ``online``: Assay knows where they are, and builds the network; they
are fetched once, or found in ASSAY_MIRROR. ``never``: the model is only described."""

LIBRARIES = ("timm", "torchvision")
"""Packages whose networks load with their weights by their names there; the package's name stands before a colon."""


def loaded_as(names: Iterable[str]) -> str | None:
    """The first of a record's names by which it loads; None if there is none."""
    return next((name for name in names if name in curated() or name.partition("/")[0] in LIBRARIES), None)


def loads(record: Record) -> Loads:
    """How a record loads; see `Loads`."""
    name = loaded_as(record.names)
    if name is None:
        return "never"
    entry = curated().get(name)
    return "online" if entry is None or entry.weights.package is None else "offline"
