"""What is known of a public model, as a typed record."""

from __future__ import annotations

from typing import Any

from assay.base.frozen import Frozen
from assay.catalogue.codebook import Facts


class Conflict(Frozen):
    """A value that another source gives for a field, and that contradicts the record's."""

    field: str
    value: Any
    source: str


class Record(Frozen):
    """What is known of one public model.

    ``names`` are the ids under which ``sources`` list it, ``id`` the first of them. ``origins`` maps each known field
    to the source of its value; ``conflicts`` are what other sources say instead.
    """

    id: str
    names: tuple[str, ...]
    sources: tuple[str, ...]
    facts: Facts
    origins: dict[str, str]
    conflicts: tuple[Conflict, ...] = ()
    mirrors: tuple[str, ...] = ()
