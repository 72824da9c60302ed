from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from assay.analysis.columns import correlate_columns, is_table
from assay.analysis.correlation import correlate
from assay.base.errors import AssayError, DataError, UsageError
from assay.catalogue.catalogue import Catalogue, packaged
from assay.catalogue.entry import Entry, Source, listing
from assay.catalogue.merge import merge
from assay.catalogue.stats import statistics
from assay.reports.views import catalogue as views
from assay.reports.views import page
from assay.reports.views.pictures import bars, lines, years


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(merge(packaged()))


def test_a_page_needs_nothing_else(tmp_path: Path, catalogue: Catalogue) -> None:
    view = views.statistics(statistics(catalogue.records))
    page.show(view, tmp_path / "stats.html")
    text = (tmp_path / "stats.html").read_text()
    assert not re.findall(r"<script[^>]+src=", text)
    assert not re.findall(r"(?:src|href)=", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
    assert "vega-lite" in text
    assert "Families of architectures" in text
    assert f"{len(catalogue.records)} distinct models" in text


def test_pictures(tmp_path: Path) -> None:
    view = page.View("x", charts=lambda: [bars({"a": 3, "b": 2}, "Letters"), years({"2016": 2, "2018": 1}, "Years")])
    page.write(tmp_path / "x.svg", view)
    assert "Letters" in (tmp_path / "x.svg").read_text()
    with pytest.raises(UsageError, match="there are no pictures in it"):
        page.write(tmp_path / "x.svg", page.View("x"))
    with pytest.raises(UsageError, match=r"it can be .html, .json, .svg, .png or .pdf"):
        page.write(tmp_path / "x.doc", view)


def test_json_holds_notes_and_rows(tmp_path: Path) -> None:
    table = page.Table("Letters", ("letter", "share"), [["a", 0.25], ["b", None]])
    page.write(tmp_path / "x.json", page.View("x", ["said"], [table]))
    rows = [{"letter": "a", "share": 0.25}, {"letter": "b", "share": None}]
    found = json.loads((tmp_path / "x.json").read_text())
    assert found == {"title": "x", "notes": ["said"], "tables": [{"title": "Letters", "rows": rows}]}


def test_bars_say_how_many_are_left_out() -> None:
    chart = bars({"a": 5, "b": 4, "c": 3, "d": 2}, "x", most=2).to_dict()
    (values,) = chart["datasets"].values()
    assert values == [{"value": "a", "models": 5}, {"value": "b", "models": 4}]
    assert chart["title"] == "x (2 more)"
    assert lines([{"k": 0, "r": 0.5, "d": "x"}], "k", "r", "d", "x").to_dict()["layer"]


def test_texts_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    view = page.View("<b>", ["a < b & [red]c"], [page.Table("<t>", ["<c>"], [["<i>"], [None], [1.5], [3]])])
    page.show(view, tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text()
    assert "<b>" not in text
    assert "<i>" not in text
    assert "a &lt; b &amp; [red]c" in text
    assert "[red]c" in capsys.readouterr().out


def test_numbers_are_short() -> None:
    assert [views.count_text(n) for n in (None, 12, 1234, 25_557_032, 4_110_000_000)] == [
        None,
        "12",
        "1.23 k",
        "25.6 M",
        "4.11 G",
    ]


def test_a_record_shows_where_each_fact_comes_from_and_who_contradicts_it() -> None:
    one = listing(Source(name="a", title="A"), [Entry(id="a/x", year=2016, weights_url="https://x/1")])
    other = listing(Source(name="b", title="B"), [Entry(id="b/x", year=2017, weights_url="https://x/1")])
    (record,) = merge([one, other])
    facts, contradictions = views.one(record, (), ()).tables
    assert ["year", "2016", "", "a"] in facts.rows
    assert contradictions.rows == [["year", "2017", "b", "2016"]]


CSV = "name,x,y,kind\n" + "".join(f"m{i},{i},{i * i - 3 * i},{'a' if i % 2 else 'b'}\n" for i in range(24)) + "m,,1,a\n"


def test_columns_of_a_table_by_group(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(CSV + "lone,1,2,c\n")
    found = correlate_columns(path, "x", "y", "kind")
    assert [(g.name, g.correlation.n) for g in found.groups] == [("a", 12), ("b", 12)]
    assert found.left_out == ["c (1)"]
    first = found.groups[0]
    assert first.correlation == correlate(range(1, 24, 2), [i * i - 3 * i for i in range(1, 24, 2)])
    assert first.holm >= first.bh >= first.correlation.p
    assert [step.k for step in first.without_lowest] == [0, 1, 3, 5]
    view = views.correlations(found)
    assert view.tables[0].rows[0][:2] == ["a", 12]
    assert "Left out" in view.notes[1]
    page.write(tmp_path / "t.svg", view)
    assert correlate_columns(path, "x", "y", None).groups[0].correlation.n == 25


@pytest.mark.parametrize(
    ("x", "text", "message"),
    [
        ("xx", CSV, "t.csv has no column 'xx': did you mean 'x'?"),
        ("name", CSV, "The column 'name' of t.csv does not hold numbers."),
        ("x", CSV[:60], "No group of t.csv has 9 rows with both x and y, varying."),
    ],
)
def test_columns_that_cannot_be_correlated(tmp_path: Path, x: str, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(AssayError) as caught:
        correlate_columns(path, x, "y", None)
    assert str(caught.value) == message


def test_tables_that_are_none(tmp_path: Path) -> None:
    assert is_table(Path("a.CSV"))
    assert not is_table(Path("README.MD"))
    with pytest.raises(UsageError, match="There is no file"):
        correlate_columns(tmp_path / "none.csv", "x", "y", None)
    (tmp_path / "bad.parquet").write_text("not a table")
    with pytest.raises(AssayError, match=r"bad.parquet cannot be read as a table"):
        correlate_columns(tmp_path / "bad.parquet", "x", "y", None)
    assert issubclass(DataError, AssayError)
