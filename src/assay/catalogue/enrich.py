"""Facts derived from a source's facts: from the network itself, and from tables of names, data sets and papers."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from io import StringIO
from typing import Any, NamedTuple

from assay.catalogue.names import DATA, datasets, family

Values = dict[str, Any]


class Statement(NamedTuple):
    """Facts with their source. ``fills`` are fields that are used only if no other source has them."""

    source: str
    values: Values
    fills: frozenset[str] = frozenset()


class Computed(NamedTuple):
    """Complexity of one configuration, computed on the meta device by `assay.targets.complexity`."""

    input: tuple[int, int, int]
    parameters: int
    macs: int
    dropout: bool
    batch_norm: bool
    layer_norm: bool
    attention: bool


COMPUTED_COLUMNS = ("builder", *Computed._fields)
GENERAL = frozenset({"classes"})
"""What a data set's table says in general, and a model's own head may change."""


@cache
def computed_table() -> dict[str, tuple[Computed, ...]]:
    """Computed annotations by builder, one for each input size at which it was computed."""
    rows = defaultdict(list)
    for row in csv.DictReader(StringIO((DATA / "computed.csv").read_text(encoding="utf-8"))):
        rows[row["builder"]].append(parse_computed(row))
    return {builder: tuple(found) for builder, found in rows.items()}


def parse_computed(row: dict[str, str]) -> Computed:
    """One row of the table of computed annotations."""
    channels, height, width = map(int, row["input"].split("x"))
    truths = (row[name] == "1" for name in ("dropout", "batch_norm", "layer_norm", "attention"))
    return Computed((channels, height, width), int(row["parameters"]), int(row["macs"]), *truths)


def computed(values: Values) -> Statement:
    """Facts computed from the network. MACs are given only at the input size that the source states, if any."""
    rows = computed_table().get(values.get("builder", ""), ())
    size = values.get("input")
    row = next((row for row in rows if size in (None, row.input)), None) or next(iter(rows), None)
    known = row._asdict() if row else {}
    if row and size is not None:
        del known["input"]
        if row.input != size:
            del known["macs"]
    return Statement("computed", known)


def from_architecture(values: Values) -> Statement:
    """Family, and the paper that introduced it, from the architecture's name.

    A model that was published for security research has its own paper, which its architecture does not tell.
    """
    found = family(values["architecture"]) if "architecture" in values else None
    if found is None:
        return Statement("architecture table", {})
    known = {"model_type": found.name}
    if found.paper and values.get("purpose") != "security":
        known["paper"] = found.paper
    return Statement("architecture table", known)


def from_dataset(values: Values) -> Statement:
    """Topic, granularity, sizes from the data set's name."""
    found = datasets().get(values.get("dataset", ""))
    if found is None:
        return Statement("data set table", {})
    return Statement("data set table", found.facts, GENERAL)


@cache
def papers() -> dict[str, Values]:
    """Venue, year, number of authors and countries of papers, by arXiv identifier, as SecurityNet's table has them."""
    table = {}
    for row in csv.DictReader(StringIO((DATA / "papers.csv").read_text(encoding="utf-8"))):
        known: Values = {name: text for name, text in row.items() if text and name != "paper"}
        known |= {name: int(known[name]) for name in ("year", "authors") if name in known}
        if "country" in known:
            known["country"] = tuple(known["country"].split("; "))
        table[row["paper"]] = known
    return table


def from_paper(values: Values) -> Statement:
    """Venue, year, authors and countries from the paper's arXiv identifier."""
    return Statement("paper table", papers().get(values.get("paper", ""), {}))


def from_arxiv(values: Values) -> Statement:
    """The year in which the paper was put on arXiv, where the year of publication is not known."""
    match = re.fullmatch(r"(\d\d)\d\d\.\d{4,5}", values.get("paper", ""))
    year = {"year": 2000 + int(match[1])} if match else {}
    return Statement("arXiv identifier", year, frozenset({"year"}))


TABLES: tuple[Callable[[Values], Statement], ...] = (from_architecture, from_dataset, from_paper, from_arxiv)
"""In the order in which they are asked: each may use what those before it added."""
