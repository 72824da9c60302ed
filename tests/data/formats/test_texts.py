"""Tables of texts: columns by name, number and content; labels by name; and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assay.base.errors import AssayError, DataError, LoadError
from assay.data.formats import load_dataset
from assay.data.splits import overlap
from assay.data.text_rows import Texts


def table(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, "utf-8")
    return path


def texts(part: object) -> list[str]:
    assert isinstance(part, Texts)
    return list(part.texts)


def test_a_header_names_the_columns_and_labels_are_names(tmp_path: Path) -> None:
    table(tmp_path, "mail_train.csv", 'id,Text,category\n1,"hello, you",spam\n2,dear me,ham\n')
    table(tmp_path, "mail_test.csv", "category,text\nham,well\n")
    found = load_dataset(tmp_path / "mail_train.csv")
    assert found.name == "mail"
    assert found.class_names == ("ham", "spam")
    assert texts(found.train) == ["hello, you", "dear me"]
    assert found.train is not None
    assert found.test is not None
    assert found.train.labels.tolist() == [1, 0]
    assert found.test.labels.tolist() == [0]


@pytest.mark.parametrize("line", ["{text}\t{label}", "{label}\t{text}"])
def test_without_a_header_labels_are_the_column_that_repeats(line: str, tmp_path: Path) -> None:
    body = "\n".join(line.format(text=f'say "{word}', label=place % 2) for place, word in enumerate(("a", "b", "c")))
    found = load_dataset(table(tmp_path, "quotes.tsv", body))
    assert texts(found.train) == ['say "a', 'say "b', 'say "c']
    assert found.train is not None
    assert found.train.labels.tolist() == [0, 1, 0]


def test_columns_are_asked_for_by_name_or_number(tmp_path: Path) -> None:
    path = table(tmp_path, "stars.csv", "who,said,stars\nann,fine,5\nbob,poor,1\ncat,fair,10\n")
    for query in ("text=said&label=stars", "text=2&label=stars"):
        found = load_dataset(f"{path}?{query}")
        assert texts(found.train) == ["fine", "poor", "fair"]
        assert found.class_names == ("1", "5", "10")
    with pytest.raises(DataError, match="no column 'sai'"):
        load_dataset(f"{path}?text=sai&label=3")


def test_a_folder_and_a_size(tmp_path: Path) -> None:
    table(tmp_path, "train.tsv", "text\tlabel\nlong enough\tx\nb\ty\n")
    table(tmp_path, "test.tsv", "text\tlabel\nc\tx\n")
    found = load_dataset(tmp_path, size=(1, 4))
    assert found.train is not None
    assert found.train.shape == (1, 1, 4)
    assert found.train.take(np.array([0])).shape == (1, 1, 1, 4)
    assert found.test is not None


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        ("", DataError, "holds no texts"),
        ("text,label\n", DataError, "a header and no texts"),
        ("text,label\nhello\n", DataError, "row 2 has no label"),
        ("text,label\nhello,\n", DataError, "row 2 has no label"),
        ("a,b,c\n1,2,3\n", DataError, "is not clear"),
        ('text,label\n"open,1\n', LoadError, "not a table"),
    ],
)
def test_mistakes_are_told(content: str, kind: type[AssayError], says: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=says):
        load_dataset(table(tmp_path, "bad.csv", content))


def test_other_encodings_are_told(tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes("text,label\ncafé,1\n".encode("latin-1"))
    with pytest.raises(LoadError, match="not UTF-8: byte 14 is 0xe9"):
        load_dataset(path)


def test_opinions_stay_the_same_and_are_apart() -> None:
    found = load_dataset("opinions")
    assert found.train is not None
    assert found.test is not None
    assert (len(found.train), len(found.test)) == (768, 768)
    assert overlap(found.train, found.test) == 0
    assert abs(found.train.labels.mean() - 0.5) < 0.05
    assert [part.digest[:16] for part in (found.train, found.test)] == DIGESTS


DIGESTS = ["edce720d014b8e1e", "eac7b5416aa7078f"]


@pytest.mark.data
@pytest.mark.parametrize(("name", "sizes", "classes"), [("sst2", (6920, 1821), 2), ("banking77", (10003, 3080), 77)])
def test_public_sets(name: str, sizes: tuple[int, int], classes: int, real_data: Path) -> None:
    if not (real_data / "text").is_dir():
        pytest.skip("ASSAY_DATA has no folder text")
    found = load_dataset(name)
    assert found.train is not None
    assert found.test is not None
    assert (len(found.train), len(found.test)) == sizes
    assert len(found.class_names) == classes
    assert set(found.train.labels.tolist()) == set(range(classes))
