from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.catalogue.entry import Entry, Source, listing
from assay.catalogue.merge import merge
from assay.catalogue.record import Record
from oracles.catalogue import groups

A, B = Source(name="a", title="A", version="1"), Source(name="b", title="B")
PLACES = st.none() | st.sampled_from(["https://x/1", "https://x/2", "https://x/3"])
DIGESTS = st.none() | st.sampled_from(["sha256:" + "1" * 64, "sha256:" + "2" * 64, "sha1:" + "1" * 40])


@st.composite
def some_entries(draw: st.DrawFn) -> list[Entry]:
    count = draw(st.integers(1, 7))
    ids = [f"{draw(st.sampled_from('ab'))}/{i}" for i in range(count)]
    return [
        Entry(
            id=name,
            weights_url=draw(PLACES),
            mirrors=draw(st.sampled_from([(), ("https://x/1",), ("https://x/3",)])),
            weights_digest=draw(DIGESTS),
            same_as=draw(st.sampled_from([(), (ids[0],), (ids[-1],)])),
            year=draw(st.none() | st.integers(2015, 2017)),
        )
        for name in ids
    ]


def merged(entries: list[Entry]) -> list[Record]:
    parts = [listing(source, [e for e in entries if e.id.startswith(source.name)]) for source in (A, B)]
    return merge(parts)


@settings(max_examples=150)
@given(entries=some_entries())
def test_entries_of_one_model_are_found_as_by_the_slow_reference(entries: list[Entry]) -> None:
    records = merged(entries)
    assert {frozenset(record.names) for record in records} == groups(entries)


@given(entries=some_entries())
def test_nothing_that_a_source_says_is_lost(entries: list[Entry]) -> None:
    for record in merged(entries):
        said = {entry.year for entry in entries if entry.id in record.names and entry.year}
        kept = {record.facts.year, *(c.value for c in record.conflicts if c.field == "year")} - {None}
        assert kept == said


def test_the_first_source_is_believed_and_the_other_flagged() -> None:
    (record,) = merged(
        [
            Entry(id="a/x", weights_url="https://x/1", year=2016, parameters=1_000_000, top1=0.9),
            Entry(id="b/x", weights_url="https://x/1", year=2017, parameters=1_001_000, venue="CVPR"),
        ]
    )
    assert record.id == "a/x"
    assert record.names == ("a/x", "b/x")
    assert record.sources == ("a 1", "b")
    assert record.facts.year == 2016
    assert record.origins == {"year": "a 1", "parameters": "a 1", "top1": "a 1", "weights_url": "a 1", "venue": "b"}
    assert [(c.field, c.value, c.source) for c in record.conflicts] == [("year", 2017, "b")]


def test_a_short_digest_is_the_digest() -> None:
    full = "sha256:12345678" + "0" * 56
    records = merged([Entry(id="a/x", weights_digest="sha256:12345678"), Entry(id="b/y", weights_digest=full)])
    assert [record.names for record in records] == [("a/x", "b/y")]


def test_tables_fill_what_nobody_said_and_computed_facts_come_first() -> None:
    (record,) = merged(
        [
            Entry(
                id="a/r",
                builder="torchvision:resnet18",
                input=(3, 224, 224),
                architecture="resnet18",
                dataset="cifar100",
            )
        ]
    )
    facts, origins = record.facts, record.origins
    assert (facts.topic, facts.granularity, facts.classes) == ("natural", "fine", 100)
    assert origins["classes"] == "data set table"
    assert (facts.model_type, facts.paper, facts.venue, facts.year) == ("resnet", "1512.03385", "CVPR", 2016)
    assert origins["venue"] == "paper table"
    assert origins["parameters"] == origins["macs"] == "computed"
    assert facts.parameters == 11_689_512


def test_an_unpublished_paper_gives_the_year_of_its_arxiv_identifier() -> None:
    (record,) = merged([Entry(id="a/r", paper="2508.12345")])
    assert (record.facts.year, record.origins["year"]) == (2025, "arXiv identifier")
    assert record.facts.venue is None


def test_security_research_does_not_inherit_the_paper_of_its_architecture() -> None:
    (record,) = merged([Entry(id="a/r", architecture="resnet18", purpose="security")])
    assert record.facts.model_type == "resnet"
    assert record.facts.paper is None


def test_macs_are_given_only_at_the_size_at_which_they_were_computed() -> None:
    (record,) = merged([Entry(id="a/r", builder="torchvision:resnet18", input=(3, 96, 96))])
    assert record.facts.parameters == 11_689_512
    assert record.facts.macs is None
