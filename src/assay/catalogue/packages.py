"""Files of Python packages, installed or in wheels, read without importing them."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from email import message_from_string
from importlib import metadata
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from assay.base.errors import UsageError


class Package(NamedTuple):
    """A package's files below ``root`` and the text of its description."""

    name: str
    version: str
    root: Traversable
    description: str


def find_package(name: str, wheels: Path | None = None) -> Package:
    """A package by its distribution's name: from a wheel in the folder, else as installed.

    Raises:
        UsageError: if it is neither.
    """
    key = re.sub(r"[-_.]+", "_", name).lower()
    for path in sorted(wheels.glob("*.whl")) if wheels else ():
        if path.name.lower().startswith(f"{key}-"):
            root = zipfile.Path(path)
            info = next(part for part in root.iterdir() if part.name.endswith(".dist-info"))
            return _package(name, root, (info / "METADATA").read_text(encoding="utf-8"))
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        where = f", and {wheels} has no wheel of it" if wheels else ""
        raise UsageError(
            f"The package {name} is not installed{where}; download its wheel and name the folder with --wheels."
        ) from None
    return _package(name, Path(str(found.locate_file(""))), found.read_text("METADATA") or "")


def _package(name: str, root: Traversable, text: str) -> Package:
    message = message_from_string(text)
    return Package(name, str(message["Version"]), root, str(message.get_payload()))


def find_files(root: Traversable, name: str) -> Iterator[Traversable]:
    """Files of that name anywhere below a folder, in the order of their paths."""
    for part in sorted(root.iterdir(), key=lambda part: part.name):
        if part.is_dir():
            yield from find_files(part, name)
        elif part.name == name:
            yield part
