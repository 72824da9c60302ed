"""Parentheses hold: ``or`` inside them does not reach beyond."""

from __future__ import annotations

import pytest

from assay.catalogue.catalogue import Catalogue
from assay.catalogue.entry import Entry, Source, listing
from assay.catalogue.merge import merge
from assay.catalogue.table import Search


@pytest.fixture(scope="module")
def search() -> Search:
    years = {"a/old": (2014, 0.9), "a/new": (2018, 0.9), "a/weak": (2014, 0.5)}
    entries = [Entry(id=name, year=year, top1=top1) for name, (year, top1) in years.items()]
    return Search(Catalogue(merge([listing(Source(name="a", title="A"), entries)])))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("(year = 2014 or year = 2018) and top1 > 0.6", ["a/new", "a/old"]),
        ("top1 > 0.6 and (year = 2014 or year = 2016)", ["a/old"]),
        ("year = 2018 or year = 2014 and top1 > 0.6", ["a/new", "a/old"]),
        ("not (year = 2014 or year = 2016) and top1 > 0.6", ["a/new"]),
        ("not (year = 2018 or top1 > 0.6)", ["a/weak"]),
    ],
)
def test_who_is_found(query: str, names: list[str], search: Search) -> None:
    assert sorted(record.id for record in search.find(query)) == names
