"""Tables of numbers and categories as vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assay.base.errors import DataError, LoadError, UsageError
from assay.data.form import form_of, holds_vectors
from assay.data.formats.tables import TableReader
from assay.data.images import Images
from assay.data.vectors import Vectors

TRAIN = "age,colour,income\n30,red,high\n41.5,green,low\n20,red,low\n"
TEST = "age,colour,income\n50,green,high\n"


def write(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return f"{folder / 'adult_train.csv'}?label=income"


def raw(part: Images | None) -> list[list[float]]:
    assert isinstance(part, Vectors)
    return part.vectors.tolist()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_numbers_stay_and_categories_become_one_hot(tmp_path: Path, suffix: str) -> None:
    source = write(tmp_path, adult_train=TRAIN, adult_test=TEST)
    if suffix == "parquet":
        for part in ("train", "test"):
            table = pd.read_csv(tmp_path / f"adult_{part}.csv")
            table.index = table.index + 7  # pandas then writes the index as a column, which is no feature
            table.to_parquet(tmp_path / f"adult_{part}.parquet")
        source = source.replace(".csv", ".parquet")
    dataset = TableReader().load(source)
    assert raw(dataset.train) == [[30, 0, 1], [41.5, 1, 0], [20, 0, 1]]
    assert raw(dataset.test) == [[50, 1, 0]]
    assert dataset.class_names == ("high", "low")
    assert isinstance(dataset.train, Vectors)
    assert dataset.train.features == ("age", "colour=green", "colour=red")
    assert dataset.train.labels.tolist() == [0, 1, 1]
    assert form_of(source) == ("vector", (1, 1, 3))


def test_declared_categories_have_their_order_and_may_be_unseen(tmp_path: Path) -> None:
    source = write(tmp_path, adult_train=TRAIN, adult_test=TEST.replace("green", "blue"))
    reader = TableReader("income", {"colour": ["red", "green", "blue"], "age": ["20", "30", "41.5", "50"]})
    dataset = reader.load(source.partition("?")[0])
    assert raw(dataset.test) == [[0, 0, 0, 1, 0, 0, 1]]


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (TEST.replace("green", "blue"), r"colour of row 1 has the category 'blue', which was never seen: declare it"),
        (TEST.replace("green", ""), "colour of row 1 is empty"),
        (TEST.replace("50", ""), r"age of row 1 is missing \(1 are\)"),
        (TEST.replace("50", "old"), "'age' holds numbers in the training data, and 'old' here"),
        (TEST.replace("colour", "size"), "the column 'colour' is not in all tables"),
        (TEST.replace("income", "wage"), "no column 'income'"),
        (TEST.replace("high", ""), "row 1 has no label"),
        ("age,colour,income\n", "holds no rows"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(tmp_path: Path, test: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as error:
        TableReader().load(write(tmp_path, adult_train=TRAIN, adult_test=test))
    assert "\n" not in str(error.value)


def test_labels_that_are_not_clear_are_asked_for(tmp_path: Path) -> None:
    source = write(tmp_path, adult_train=TRAIN)
    with pytest.raises(DataError, match=r"which of its columns holds the labels is not clear: .*\?label=income"):
        TableReader().load(source.partition("?")[0])
    pd.read_csv(tmp_path / "adult_train.csv").to_csv(tmp_path / "adult_train.csv")
    with pytest.raises(DataError, match="a column without a name, the index that pandas writes"):
        TableReader().load(source)
    (tmp_path / "adult_train.csv").write_text("a,b\n1,2,3\n")
    with pytest.raises(LoadError, match="cannot be read as a table"):
        TableReader().load(source)
    with pytest.raises(UsageError, match="no file or folder of vectors"):
        TableReader().load("nowhere.csv")


def test_arrays(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, x_train=np.eye(3), y_train=[0, 1, 2])
    dataset = TableReader().load(str(file))
    assert raw(dataset.train) == np.eye(3).tolist()
    assert dataset.test is None
    assert holds_vectors(str(file))
    np.savez(file, x_train=np.zeros((3, 8, 8)), y_train=[0, 1, 2])
    assert not holds_vectors(str(file))
    (tmp_path / "t.csv").write_text("text,label,id\ngood,1,2\n")
    assert form_of(str(tmp_path / "t.csv"))[0] == "text"
