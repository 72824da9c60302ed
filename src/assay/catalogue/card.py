"""The user's own model cards: a TOML file with an id and fields of the codebook."""

from __future__ import annotations

from pathlib import Path

from assay.base.errors import DataError
from assay.base.reading import read_toml
from assay.catalogue.entry import Entry, Source, listing, make_entry, read_listing, write_listing
from assay.catalogue.names import require_dataset

OWN = "own.jsonl"
SOURCE = Source(name="own", title="own model cards")


def read_card(path: Path) -> Entry:
    """Read a card; its data set may have any known spelling.

    Raises:
        LoadError: if it is not TOML.
        DataError: if a field does not fit the codebook; the message names it, and the nearest code for an unknown one.
        UsageError: if its data set is not in the table.
    """
    values = read_toml(path, "The model card")
    if isinstance(values.get("dataset"), str):
        values["dataset"] = require_dataset(values["dataset"])
    return make_entry(path.name, values)


def add_card(path: Path, folder: Path) -> Entry:
    """Add a card's model to the folder of the user's own records.

    Raises:
        DataError: if a model of that id was added before, or as `read_card`.
    """
    entry = read_card(path)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / OWN
    before = read_listing(file).entries if file.exists() else ()
    if any(entry.id == known.id for known in before):
        raise DataError(f"A model with the id {entry.id!r} was added before; give this one another, or edit {file}.")
    write_listing(file, listing(SOURCE, (*before, entry)))
    return entry
