"""Data sets as the Hugging Face Hub stores them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from assay.base.errors import DataError, LoadError
from assay.data.formats.registry import load_dataset
from assay.data.text_rows import Texts

NAMES = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}


def encoded(grey: int, size: int = 4) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), grey, np.uint8)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def write(file: Path, columns: dict[str, list[Any]], features: dict[str, Any] | None = NAMES) -> None:
    file.parent.mkdir(exist_ok=True, parents=True)
    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, file)


def test_shards_of_images(tmp_path: Path) -> None:
    for shard in (0, 1):
        write(
            tmp_path / f"data/train-0000{shard}-of-00002.parquet",
            {"image": [encoded(shard), encoded(9)], "label": [shard, 1]},
        )
    write(tmp_path / "data/validation-00000-of-00001.parquet", {"image": [encoded(50)], "label": [0]})
    dataset = load_dataset(tmp_path)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.train.labels.tolist() == [0, 1, 1, 1]
    assert (dataset.train.take(np.arange(4))[:, 0, 0, 0] * 255).round().tolist() == [0, 9, 1, 9]
    assert (dataset.test.shape, len(dataset.test)) == ((3, 4, 4), 1)
    write(tmp_path / "data/test-00000-of-00001.parquet", {"image": [encoded(60)] * 2, "label": [0, 1]})
    test = load_dataset(tmp_path, size=(2, 2)).test
    assert test is not None
    assert (test.shape, len(test)) == ((3, 2, 2), 2)  # test, not validation


def test_names_of_classes_come_from_the_card_too(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", {"text": ["a", "b"], "label": [1, 0]}, None)
    write(tmp_path / "test.parquet", {"text": ["c"], "label": [1]}, None)
    assert load_dataset(tmp_path).class_names == ("0", "1")
    (tmp_path / "README.md").write_text(
        "---\ndataset_info:\n  features:\n  - name: text\n    dtype: string\n  - name: label\n    dtype:\n"
        "      class_label:\n        names:\n          '0': bad\n          '1': good\n---\n# Reviews\n"
    )
    dataset = load_dataset(tmp_path)
    assert dataset.class_names == ("bad", "good")
    assert isinstance(dataset.train, Texts)
    assert dataset.train.texts == ("a", "b")
    (tmp_path / "dataset_info.json").write_text(json.dumps({"features": {"label": {"names": ["no", "yes"]}}}))
    assert load_dataset(tmp_path).class_names == ("no", "yes")


def test_the_label_may_be_said(tmp_path: Path) -> None:
    columns = {"img": [encoded(1), encoded(2)], "fine_label": [0, 1], "coarse_label": [1, 0]}
    features = dict.fromkeys(("fine_label", "coarse_label"), NAMES["label"])
    write(tmp_path / "data/train-0.parquet", columns, features)
    with pytest.raises(DataError, match="holds the labels is not clear"):
        load_dataset(tmp_path)
    train = load_dataset(f"{tmp_path}?label=coarse_label").train
    assert train is not None
    assert train.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("file", "columns", "says"),
    [
        ("data/all.parquet", {"image": [encoded(1)], "label": [0]}, "none of its Parquet files is named train"),
        ("data/train.parquet", {"image": [encoded(1)], "label": [2]}, "row 0 has the label 2"),
        ("data/train.parquet", {"image": [encoded(1), encoded(1, 5)], "label": [0, 1]}, "differ in size"),
        ("data/train.parquet", {"image": [{"bytes": None, "path": "x.png"}], "label": [0]}, "only a path"),
        ("data/train.parquet", {"image": [{"bytes": b"no", "path": "x.png"}], "label": [0]}, "cannot be decoded"),
        ("data/train.parquet", {"sound": [1], "label": [0]}, "holds the images or texts is not clear"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, file: str, columns: dict[str, list[Any]], says: str) -> None:
    write(tmp_path / file, columns)
    with pytest.raises((DataError, LoadError), match=says):
        load_dataset(tmp_path)
