"""Generation of the packaged catalogue from packages, and the check that it is up to date."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from importlib import metadata
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType

from assay.base.digests import canonical_json
from assay.base.errors import UsageError, nearest
from assay.base.progress import Progress
from assay.catalogue import packages
from assay.catalogue.entry import Entry, write_listing
from assay.catalogue.names import DATA
from assay.catalogue.sources import SOURCES, addresses

FOLDER = Path(str(DATA)) / "sources"
COMPUTED = Path(str(DATA)) / "computed.csv"
BUILDING = ("torchvision", "timm", "pytorchcv")
"""Sources whose package builds what it lists."""
STAMP = "stamp.json"


def packaged_files() -> list[Traversable]:
    """The packaged listings, in order of precedence."""
    return [DATA / "sources" / f"{name}.jsonl" for name in SOURCES]


def generate(names: tuple[str, ...], wheels: Path | None, folder: Path, progress: Progress) -> None:
    """Write the listings of the named sources (default: all) and the stamp beside them.

    The same packages give the same bytes. Packages that are not installed are read from wheels in a folder.

    Raises:
        UsageError: if a source is unknown, or its package is found nowhere.
    """
    for name in names:
        if name not in SOURCES:
            raise UsageError(f"There is no source {name!r}: {nearest(name, SOURCES)}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / STAMP
    stamp = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    wanted = names or tuple(SOURCES)
    with progress.step("sources", len(wanted)) as step:
        for name in wanted:
            found = SOURCES[name](wheels)
            write_listing(folder / f"{name}.jsonl", found)
            stamp[name] = {"version": found.source.version, "generator": generator_digest(name)}
            progress.say(f"{found.source.label}: {len(found.entries)} models")
            step.advance()
    path.write_text(json.dumps(dict(sorted(stamp.items())), indent=1) + "\n", encoding="utf-8")


def buildable_entries(wheels: Path | None) -> list[Entry]:
    """The entries of every source whose package can build them."""
    return [entry for name in BUILDING for entry in SOURCES[name](wheels).entries]


def staleness() -> list[str]:
    """Reasons why the packaged listings are out of date; empty if there is none.

    A changed generator is a reason; a newer version of a package is not, since it is another source.
    """
    stamp = json.loads((DATA / "sources" / STAMP).read_text(encoding="utf-8"))
    return [
        f"The reader of {name} was changed since {name}.jsonl was generated: run assay catalogue generate {name}."
        for name in SOURCES
        if stamp.get(name, {}).get("generator") != generator_digest(name)
    ]


def newer_packages() -> list[str]:
    """Sources whose installed version differs from the one that the packaged listing describes."""
    stamp = json.loads((DATA / "sources" / STAMP).read_text(encoding="utf-8"))
    found = []
    for name, known in stamp.items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if installed != known["version"]:
            found.append(f"{name} {installed} is installed, and the catalogue describes {known['version']}.")
    return found


def generator_digest(name: str) -> str:
    """SHA-256 of the syntax tree of the code that reads a source; layout and comments do not matter."""
    reader = inspect.getmodule(SOURCES[name])
    assert reader is not None
    return hashlib.sha256("".join(map(_code, (reader, addresses, packages))).encode()).hexdigest()


def _code(module: ModuleType) -> str:
    return canonical_json(ast.dump(ast.parse(inspect.getsource(module))))
