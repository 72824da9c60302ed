"""Annotations by several coders: one folder per project, one file per coder; merged by majority, dissent kept."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from assay.base.digests import canonical_json
from assay.base.errors import LoadError, UsageError, nearest
from assay.base.files import write_text
from assay.base.frozen import Frozen
from assay.base.reading import read_text
from assay.catalogue.codebook import CODEBOOK, code
from assay.catalogue.entry import Entry, Listing, Source, explain, json_lines, listing, make_entry
from assay.catalogue.names import require_dataset

CODERS = "coders.txt"


class Annotation(Frozen):
    """One coder's value for one code of one record; ``value`` is text as `parse_value` reads it."""

    record: str
    code: str
    value: str


class Vote(NamedTuple):
    """One code of one record on which coders disagree: who gave which answer."""

    record: str
    code: str
    votes: dict[str, tuple[str, ...]]


class Merged(NamedTuple):
    """The majority's answers, each dissenting coder's other answers, and every disagreement with its votes.

    A tie has no majority: it is in ``disagreements`` only.
    """

    majority: Listing
    dissent: list[Listing]
    disagreements: list[Vote]


def parse_value(name: str, text: str) -> Any:
    """A code's value from text: numbers as written, several texts separated by ``;``, sizes as ``3x32x32``.

    Raises:
        UsageError: if there is no such code, or it cannot have that value; the message names the nearest.
    """
    known = code(name)
    text = text.strip()
    try:
        if known.kind == "number":
            value: Any = float(text) if "." in text or "e" in text.lower() else int(text)
        elif known.kind == "shape":
            value = tuple(int(part) for part in text.split("x"))
        elif known.kind == "truth":
            value = {"true": True, "false": False}[text.lower()]
        elif known.kind == "texts":
            value = tuple(part.strip() for part in text.split(";"))
        elif known.kind == "object":
            value = json.loads(text)
        else:
            value = require_dataset(text) if name == "dataset" else text
    except (ValueError, KeyError):
        raise UsageError(f"{name} cannot be {text!r}: it is {_form(known.kind)}.") from None
    if known.choices and value not in known.choices:
        raise UsageError(f"{name} cannot be {text!r}: {nearest(text, known.choices)}")
    try:
        Entry.model_validate({"id": "check/value", name: value})
    except ValidationError as error:
        raise UsageError(explain(error).capitalize()) from None
    return value


def parse_assignments(texts: Iterable[str]) -> dict[str, str]:
    """Codes and values from texts ``code=value``.

    Raises:
        UsageError: if one has another form.
    """
    pairs = [text.partition("=") for text in texts]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise UsageError(f"{name + equals + value!r} is not of the form code=value, such as venue=CVPR.")
    return {name.strip(): value for name, _, value in pairs}


def _form(kind: str) -> str:
    forms = {"number": "a number", "shape": "channels x height x width, such as 3x32x32", "truth": "true or false"}
    return forms.get(kind, "a text")


class Project:
    """A folder of annotations: ``coders.txt`` names the coders, and each has ``NAME.jsonl``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def coders(self) -> list[str]:
        """The names of its coders, sorted."""
        path = self.folder / CODERS
        return sorted(path.read_text(encoding="utf-8").split()) if path.exists() else []

    def add_coder(self, name: str) -> None:
        """Add a coder to the project.

        Raises:
            UsageError: if the name is not made of letters, digits, hyphens and underscores.
        """
        if not name.replace("-", "").replace("_", "").isalnum():
            raise UsageError(f"A coder's name has letters, digits, - and _ only; {name!r} has others.")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / CODERS, "".join(f"{n}\n" for n in sorted({*self.coders, name})))

    def annotations(self, coder: str) -> list[Annotation]:
        """A coder's annotations, sorted by record and code.

        Raises:
            UsageError: if there is no such coder; the message names the nearest.
            LoadError: if the coder's file is damaged.
        """
        if coder not in self.coders:
            raise UsageError(
                f"There is no coder {coder!r} in {self.folder}: {nearest(coder, self.coders)} --new-coder adds one."
            )
        path = self.folder / f"{coder}.jsonl"
        found = []
        text = read_text(path, "The annotations", 1 << 30) if path.exists() else ""
        for number, line in enumerate(json_lines(text), start=1):
            try:
                one = Annotation.model_validate(json.loads(line))
                parse_value(one.code, one.value)
            except UsageError as error:
                raise LoadError(f"{path.name}, line {number}: {error}") from error
            except (ValueError, RecursionError) as error:
                raise LoadError(f"{path.name}, line {number}: {explain(error)}") from error
            found.append(one)
        return found

    def annotate(self, coder: str, record: str, values: dict[str, str]) -> list[Vote]:
        """Store a coder's values for a record, replacing the coder's earlier ones.

        Returns the codes of this record on which coders now disagree.

        Raises:
            UsageError: if there is no such coder or code, or a code cannot have a value.
        """
        for name, text in values.items():
            parse_value(name, text)
        kept = {(one.record, one.code): one for one in self.annotations(coder)}
        kept |= {(record, name): Annotation(record=record, code=name, value=text) for name, text in values.items()}
        lines = [canonical_json(kept[key].model_dump()) for key in sorted(kept)]
        write_text(self.folder / f"{coder}.jsonl", "".join(f"{line}\n" for line in lines))
        return [vote for vote in self.disagreements() if vote.record == record]

    def answers(self) -> dict[str, dict[tuple[str, str], str]]:
        """Coder to (record, code) to value, values in one spelling (data sets under their one name)."""
        return {
            coder: {
                (one.record, one.code): to_text(one.code, parse_value(one.code, one.value))
                for one in self.annotations(coder)
            }
            for coder in self.coders
        }

    def _votes(self) -> dict[tuple[str, str], dict[str, list[str]]]:
        votes: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for coder, given in self.answers().items():
            for item, value in given.items():
                votes[item][value].append(coder)
        return votes

    def disagreements(self) -> list[Vote]:
        """Every code of every record to which coders gave different answers."""
        return [
            Vote(record, name, {value: tuple(coders) for value, coders in sorted(by_value.items())})
            for (record, name), by_value in sorted(self._votes().items())
            if len(by_value) > 1
        ]

    def merge(self) -> Merged:
        """The majority's value for each code, with the dissent, as `Merged`."""
        majority: dict[str, dict[str, str]] = defaultdict(dict)
        dissent: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        for (record, name), by_value in self._votes().items():
            ranked = Counter({value: len(coders) for value, coders in by_value.items()}).most_common(2)
            if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
                continue
            majority[record][name] = ranked[0][0]
            for value, coders in by_value.items():
                if value != ranked[0][0]:
                    for coder in coders:
                        dissent[coder][record][name] = value
        title = f"annotations of {self.folder.name}"
        return Merged(
            _listing("annotated", title, majority),
            [
                _listing(f"dissent-{coder.lower().replace('_', '-')}", f"dissent of {coder}", dissent[coder])
                for coder in sorted(dissent)
            ],
            self.disagreements(),
        )


def to_text(name: str, value: Any) -> str:
    """A code's value as text, in the form that `parse_value` reads."""
    kind = CODEBOOK[name].kind
    if kind == "texts":
        return "; ".join(sorted(value))
    if kind == "shape":
        return "x".join(map(str, value))
    return str(value).lower() if kind == "truth" else str(value)


def _listing(name: str, title: str, by_record: dict[str, dict[str, str]]) -> Listing:
    entries = []
    for record, texts in by_record.items():
        values = {field: parse_value(field, text) for field, text in texts.items()}
        entries.append(make_entry(record, {"id": f"{name}/{record}", "same_as": (record,), **values}))
    return listing(Source(name=name, title=title), entries)
