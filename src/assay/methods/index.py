"""What the packaged methods say of themselves, from a file: read without importing them, and so without torch.

``python -m tools.method_index`` writes ``index.json`` anew after a change of a method; a test holds it current.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.base.digests import canonical_json
from assay.base.errors import UsageError, nearest
from assay.methods.about import About
from assay.methods.metric import Family

if TYPE_CHECKING:
    from assay.methods.method import Method, Need, Preset

FILE = Path(__file__).with_name("index.json")
GROUP = "assay.methods"
"""The entry-point group of other packages' methods."""


@dataclass(frozen=True)
class MethodEntry:
    """A method's declaration; see `assay.methods.method.Method`.

    ``presets`` maps each preset in which it takes part to the options that it changes. ``options`` is the JSON schema
    of its options, with their defaults and descriptions among the ``properties``.
    """

    name: str
    family: Family
    version: int
    needs: Need
    about: About
    parts: tuple[str, ...]
    uses: tuple[str, ...]
    modalities: tuple[str, ...]
    novel_inputs: bool
    presets: Mapping[Preset, Mapping[str, Any]]
    options: Mapping[str, Any]

    def default(self, option: str) -> Any:
        """The default of an option, as JSON has it.

        Raises:
            KeyError: if there is no such option.
        """
        return self.options["properties"][option].get("default")


@cache
def packaged_methods() -> Mapping[str, MethodEntry]:
    """The methods of this package, by name."""
    return {name: _read(entry) for name, entry in json.loads(FILE.read_text("utf-8")).items()}


@cache
def known_methods() -> Mapping[str, MethodEntry]:
    """All methods by name, in order: those of this package and, where others registered any, theirs.

    Other packages' methods are imported, and torch with them; where there are none, nothing is.
    """
    if not entry_points(group=GROUP):
        return packaged_methods()
    from assay.methods.method import METHODS

    others = {name: entry_of(kind) for name, kind in METHODS.items() if name not in packaged_methods()}
    return dict(sorted({**packaged_methods(), **others}.items()))


def find_method(name: str) -> MethodEntry:
    """The method of that name. Other packages' methods are imported only for a name that is not one of this package's.

    Raises:
        UsageError: if there is none; the message names the nearest.
    """
    found = packaged_methods().get(name) or known_methods().get(name)
    if found is None:
        raise UsageError(f"There is no method {name!r}; {nearest(name, known_methods())}")
    return found


def entry_of(kind: type[Method]) -> MethodEntry:
    """What a method declares, as the index keeps it."""
    return MethodEntry(
        name=kind.name,
        family=kind.family,
        version=kind.version,
        needs=kind.needs,
        about=kind.about,
        parts=kind.parts,
        uses=kind.uses,
        modalities=kind.modalities,
        novel_inputs=kind.novel_inputs,
        presets=kind.presets,
        options=_plain(kind.model_json_schema(mode="serialization")),
    )


def index_text(entries: Mapping[str, MethodEntry]) -> str:
    """The text of ``index.json``: one line a method."""
    lines = (f"{json.dumps(name)}: {canonical_json(asdict(entry))}" for name, entry in sorted(entries.items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without what repeats the names of options and the docstrings of classes."""
    kept = {key: value for key, value in schema.items() if key not in ("title", "description")}
    kept["properties"] = {
        option: {key: value for key, value in facts.items() if key != "title"}
        for option, facts in schema["properties"].items()
    }
    return kept


def _read(entry: dict[str, Any]) -> MethodEntry:
    about = entry.pop("about")
    told: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return MethodEntry(about=About(**{**about, "atlas": tuple(about["atlas"])}), **told)
