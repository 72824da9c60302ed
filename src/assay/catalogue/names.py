"""Canonical names of data sets and families of architectures."""

from __future__ import annotations

import csv
import re
import tomllib
from functools import cache
from importlib.resources import files
from io import StringIO
from typing import Any, NamedTuple

from assay.base.errors import UsageError, nearest

DATA = files("assay.catalogue") / "data"


class Family(NamedTuple):
    """A family of architectures, the names that belong to it, and the arXiv identifier of its paper, if it has one."""

    name: str
    pattern: re.Pattern[str]
    paper: str | None


class Dataset(NamedTuple):
    """A data set of the table; ``facts`` are fields of the codebook that follow from it."""

    name: str
    title: str
    facts: dict[str, Any]


def _key(text: str) -> str:
    return re.sub(r"[\s._-]+", "", text.lower())


@cache
def datasets() -> dict[str, Dataset]:
    """The table of data sets, by their one name."""
    table = tomllib.loads((DATA / "datasets.toml").read_text(encoding="utf-8"))
    return {
        name: Dataset(name, row["title"], {k: v for k, v in row.items() if k not in ("title", "aliases")})
        for name, row in table.items()
    }


@cache
def _spellings() -> dict[str, str]:
    table = tomllib.loads((DATA / "datasets.toml").read_text(encoding="utf-8"))
    return {_key(text): name for name, row in table.items() for text in (name, row["title"], *row.get("aliases", ()))}


def dataset_name(text: str) -> str | None:
    """The one name of a data set, however it is spelled (``CIFAR-10``, ``cifar10``); None if it is not in the table."""
    return _spellings().get(_key(text))


def require_dataset(text: str) -> str:
    """As `dataset_name`.

    Raises:
        UsageError: if it is not in the table; the message names the nearest.
    """
    name = dataset_name(text)
    if name is None:
        raise UsageError(f"There is no data set {text!r} in the table: {nearest(text.lower(), datasets())}")
    return name


@cache
def families() -> tuple[Family, ...]:
    """The table of architecture families, in the order in which their patterns are tried."""
    rows = csv.DictReader(StringIO((DATA / "families.csv").read_text(encoding="utf-8")))
    return tuple(Family(row["family"], re.compile(row["pattern"]), row["paper"] or None) for row in rows)


@cache
def family(architecture: str) -> Family | None:
    """The family that an architecture's name belongs to; None if the table does not say."""
    key = re.sub(r"[\s.-]+", "_", architecture.lower())
    key = re.sub(r"^(tf|gluon|legacy|test)_", "", key)
    return next((known for known in families() if known.pattern.match(key)), None)
