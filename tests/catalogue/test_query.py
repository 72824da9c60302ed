from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.base.errors import UsageError
from assay.catalogue.catalogue import Catalogue
from assay.catalogue.entry import Entry, Source, listing
from assay.catalogue.merge import merge
from assay.catalogue.query import KINDS, compile_query
from assay.catalogue.record import Record
from assay.catalogue.table import Search
from oracles.catalogue import holds, text

YEARS, SHARES = st.integers(2014, 2018), st.sampled_from([0.25, 0.5, 0.75])
FAMILIES = st.sampled_from(["resnet", "ResNeXt", "vit'; drop table records; --"])
COUNTRIES = st.sampled_from(["USA", "China", "France"])


@st.composite
def some_records(draw: st.DrawFn) -> list[Record]:
    entries = [
        Entry(
            id=f"a/{i}",
            year=draw(st.none() | YEARS),
            top1=draw(st.none() | SHARES),
            licence=draw(st.none() | FAMILIES),
            dropout=draw(st.none() | st.booleans()),
            country=draw(st.none() | st.tuples(COUNTRIES) | st.tuples(COUNTRIES, COUNTRIES)),
        )
        for i in range(draw(st.integers(0, 6)))
    ]
    return merge([listing(Source(name="a", title="A"), entries)])


LEAVES: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.tuples(st.sampled_from(["=", "!=", "<", ">="]), st.just("year"), YEARS),
    st.tuples(st.sampled_from(["=", "!=", "<", ">="]), st.just("top1"), SHARES),
    st.tuples(st.sampled_from(["=", "!=", "~"]), st.just("licence"), FAMILIES),
    st.tuples(st.sampled_from(["=", "!="]), st.just("dropout"), st.booleans()),
    st.tuples(st.sampled_from(["=", "!="]), st.just("country"), COUNTRIES),
    st.tuples(st.just("known"), st.sampled_from(["year", "top1", "licence", "country"])),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.tuples(st.sampled_from(["and", "or"]), inner, inner), st.tuples(st.just("not"), inner)),
    max_leaves=6,
)


@settings(max_examples=120, deadline=None)
@given(records=some_records(), condition=CONDITIONS)
def test_a_query_finds_what_the_slow_reference_finds(records: list[Record], condition: tuple[Any, ...]) -> None:
    found = Search(Catalogue(records)).find(text(condition))
    assert [record.id for record in found] == [record.id for record in records if holds(record, condition)]


@pytest.fixture(scope="module")
def search() -> Search:
    entries = [
        Entry(id="a/one", dataset="cifar10", parameters=500_000, top1=0.8, input=(3, 32, 32), architecture="ResNet-8"),
        Entry(id="a/two", dataset="cifar10", parameters=900_000, top1=0.9, architecture="VGG"),
        Entry(id="a/big", dataset="cifar10", parameters=9_000_000, top1=0.95, architecture="resnet50"),
        Entry(id="a/other", dataset="svhn", parameters=100_000),
    ]
    return Search(Catalogue(merge([listing(Source(name="a", title="A"), entries)])))


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ('dataset = "cifar10" and params < 1e6 order by top1', ["a/one", "a/two"]),
        ("dataset = CIFAR-10 and params < 1_000_000 order by top1 desc", ["a/two", "a/one"]),
        ("dataset = 'cifar10' order by parameters desc limit 1", ["a/big"]),
        ("order by top1 desc", ["a/big", "a/two", "a/one", "a/other"]),
        ("", ["a/big", "a/one", "a/other", "a/two"]),
        ('architecture ~ "RESNET" or dataset = svhn', ["a/big", "a/one", "a/other"]),
        ("top1 is not known", ["a/other"]),
        ("dataset in (svhn, mnist)", ["a/other"]),
        ('input = "3x32x32"', ["a/one"]),
        ("width = 32 and height <= 32", ["a/one"]),
        ("not dataset = svhn and not top1 >= .9 or params = 100000", []),
        ("limit 2", ["a/big", "a/one"]),
        ("conflicts = 0 and measured = 0 and id ~ 'o' order by dataset desc, id desc", ["a/other", "a/two", "a/one"]),
    ],
)
def test_queries_as_people_write_them(search: Search, query: str, ids: list[str]) -> None:
    if ".9" in query:
        query = query.replace(" .9", " 0.9")
        ids = ["a/one", "a/other"]
    assert [record.id for record in search.find(query)] == ids


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('datset = "cifar10"', "There is no field 'datset' to search by: did you mean 'dataset'?"),
        ("top1 > 0.5 order by yaer", "There is no field 'yaer' to search by: did you mean 'year' or 'paper'?"),
        ("dataset = cifar11", "There is no data set 'cifar11' in the table: did you mean 'cifar10' or 'cifar100'?"),
        ("topic = nature", "topic is never 'nature': did you mean 'natural'?"),
        ('year > "x"', 'year is a number, and "x" is not.'),
        ("dropout = maybe", "dropout is true or false, not maybe."),
        ("architecture < resnet", "architecture is not a number: compare it with =, !=, ~ or in."),
        ("year >", "The query ends where a value to compare 'year' with was expected: year >"),
        ("year", "The query ends where a comparison of 'year'"),
        ("(year > 2000", "The query ends where ')' was expected"),
        ("year > 2000 top1 > 0.5", "The query has 'top1' at character 13 where a further condition"),
        ("year > 2000; drop table records", "The query cannot be read from '; drop table records'"),
        ("and year > 2000", "The query has 'and' at character 1 where the name of a field was expected."),
        ("limit 0", "limit takes a whole number of results, at least 1, not 0."),
        ('dataset = "cifar10', "The query cannot be read from"),
    ],
)
def test_a_query_that_cannot_be_read_says_why(query: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        compile_query(query)
    assert message in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_query_or_a_usage_error(query: str) -> None:
    try:
        compiled = compile_query(query)
    except UsageError:
        return
    quoted = [part for i, part in enumerate(compiled.where.split('"')) if i % 2]
    assert set(quoted) <= set(KINDS)


def test_values_never_become_part_of_the_sql() -> None:
    compiled = compile_query("licence = \"x' or 1=1 --\" and country != '\" or true'")
    assert compiled.parameters == ("x' or 1=1 --", '" or true')
    assert "1=1" not in compiled.where
    assert compiled.where.count("?") == 2
