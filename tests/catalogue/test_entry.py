from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import DataError, LoadError
from assay.catalogue.entry import Entry, Source, listing, make_entry, read_listing, write_listing

SOURCE = Source(name="test", title="A test", version="1")
ENTRIES = st.lists(
    st.builds(
        Entry,
        id=st.integers(0, 10_000).map("test/{}".format),
        top1=st.none() | st.floats(0, 1),
        year=st.none() | st.integers(1990, 2100),
        input=st.none() | st.tuples(st.integers(1, 4), st.integers(1, 512), st.integers(1, 512)),
        country=st.none() | st.tuples(st.text(max_size=5)),
        dropout=st.none() | st.booleans(),
        same_as=st.just(()) | st.just(("other/x",)),
    ),
    unique_by=lambda entry: entry.id,
    max_size=8,
)


@given(entries=ENTRIES)
def test_a_listing_survives_being_written_and_its_order_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]
) -> None:
    folder = tmp_path_factory.mktemp("listing")
    write_listing(folder / "a.jsonl", listing(SOURCE, entries))
    write_listing(folder / "b.jsonl", listing(SOURCE, entries[::-1]))
    assert (folder / "a.jsonl").read_bytes() == (folder / "b.jsonl").read_bytes()
    read = read_listing(folder / "a.jsonl")
    assert read.source == SOURCE
    assert sorted(read.entries, key=lambda e: e.id) == sorted(entries, key=lambda e: e.id)


def test_two_records_with_one_id_are_refused() -> None:
    with pytest.raises(DataError, match="A test lists 2 models under one id, 'test/a'"):
        listing(SOURCE, [Entry(id="test/a"), Entry(id="test/b"), Entry(id="test/a")])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: this is not JSON"),
        ('{"id":"test/a","topp1":0.5}', "line 2: the codebook has no code 'topp1': did you mean 'top1'"),
        ('{"id":"test/a","top1":1.5}', "line 2: top1 is 1.5, but input should be less than or equal to 1"),
        ('{"id":"no slash"}', "line 2: id is 'no slash'"),
        ('{"id":"test/a","topic":"cats"}', "line 2: topic is 'cats'"),
    ],
)
def test_a_damaged_listing_is_named_in_one_sentence(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"name":"test","title":"A test"}\n' + line + "\n")
    with pytest.raises(LoadError) as caught:
        read_listing(path)
    assert f"bad.jsonl, {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_listing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(LoadError, match=r"empty.jsonl, line 1"):
        read_listing(tmp_path / "empty.jsonl")


def test_values_that_do_not_fit_say_where() -> None:
    with pytest.raises(DataError, match=r"card.toml: parameters is -3"):
        make_entry("card.toml", {"id": "own/x", "parameters": -3})
