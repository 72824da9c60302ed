"""The entries of one source, and the files that hold them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar

from pydantic import Field, ValidationError

from assay.base.digests import canonical_json
from assay.base.errors import DataError, LoadError, nearest
from assay.base.files import write_text
from assay.base.frozen import Frozen
from assay.catalogue.codebook import CODEBOOK, Facts

Model = TypeVar("Model", bound=Frozen)


class Entry(Facts):
    """One model as one source lists it.

    ``id`` starts with the name of whoever lists it. ``same_as`` are ids under which, as the source says, other sources
    list it; ``mirrors`` are further addresses of the same weights.
    """

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*/\S+$")]
    same_as: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()


class Source(Frozen):
    """Where entries come from. ``digest`` is the SHA-256 of what they were read from, where that is a file."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    title: str
    version: str = ""
    digest: str | None = None

    @property
    def label(self) -> str:
        """Name and version, as provenance shows it."""
        return f"{self.name} {self.version}".strip()


class Listing(NamedTuple):
    """All entries of one source, sorted by id."""

    source: Source
    entries: tuple[Entry, ...]


class Readable(Protocol):
    """A path, or a resource of a package."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        ...

    def read_text(self, encoding: str) -> str:
        """The whole text."""
        ...


def listing(source: Source, entries: Iterable[Entry]) -> Listing:
    """Entries of one source, sorted.

    Raises:
        DataError: if two have one id.
    """
    ordered = tuple(sorted(entries, key=lambda entry: entry.id))
    ((first, count),) = Counter(entry.id for entry in ordered).most_common(1) or [("", 0)]
    if count > 1:
        raise DataError(f"{source.title} lists {count} models under one id, {first!r}; give each its own.")
    return Listing(source, ordered)


def write_listing(path: Path, what: Listing) -> None:
    """Write one JSON object per line: the source, then its entries sorted by id. Deterministic."""
    lines = [canonical_json(what.source.model_dump(exclude_none=True))]
    lines += [canonical_json(entry.model_dump(exclude_defaults=True)) for entry in what.entries]
    write_text(path, "\n".join(lines) + "\n")


def read_listing(path: Readable) -> Listing:
    """Read a file of `write_listing`.

    Raises:
        LoadError: if a line is not what it should be; the message names the line and the field.
        DataError: if two entries have one id.
    """
    try:
        lines = json_lines(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"{path.name} cannot be read: {error}.") from error
    source = _parse(Source, path.name, 1, lines[0] if lines else "")
    return listing(source, [_parse(Entry, path.name, number, line) for number, line in enumerate(lines[1:], start=2)])


def json_lines(text: str) -> list[str]:
    """The lines of a file of JSON lines; only a line feed ends a line, since strings may hold other line ends."""
    return text.removesuffix("\n").split("\n") if text else []


def _parse(kind: type[Model], file: str, number: int, line: str) -> Model:
    try:
        return kind.model_validate(json.loads(line))
    except (ValueError, RecursionError) as error:
        raise LoadError(f"{file}, line {number}: {explain(error)}") from error


def make_entry(where: str, values: dict[str, Any]) -> Entry:
    """An entry from plain values; ``where`` (a file and line, say) starts the message of an error.

    Raises:
        DataError: naming the field, and the nearest code if there is no such field.
    """
    try:
        return Entry.model_validate(values)
    except ValidationError as error:
        raise DataError(f"{where}: {explain(error)}") from error


def explain(error: Exception) -> str:
    """The first error in data that does not fit the codebook, as the end of a sentence."""
    if not isinstance(error, ValidationError):
        return f"this is not JSON ({error})."
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return f"the codebook has no code {field!r}: {nearest(field, [*CODEBOOK, 'id', 'same_as', 'mirrors'])}"
    message = first["msg"][:1].lower() + first["msg"][1:]
    return f"{field or 'the line'} is {first['input']!r}, but {message}."
