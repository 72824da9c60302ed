from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.base.errors import DataError, LoadError
from assay.data.formats import load_dataset

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 5, 6), dtype=np.uint8)
LABELS = np.array([3, 1, 0, 2], np.uint8)


def idx(array: NDArray[Any], kind: int = 8) -> bytes:
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize("dot", [".", "-"])
@pytest.mark.parametrize("test_name", ["t10k", "test"])
@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_style_folders(dot: str, test_name: str, zipped: bool, tmp_path: Path) -> None:
    pack, end = (gzip.compress, ".gz") if zipped else (bytes, "")
    for part, rows in (("train", slice(0, 3)), (test_name, slice(3, 4))):
        (tmp_path / f"{part}-images{dot}idx3-ubyte{end}").write_bytes(pack(idx(IMAGES[rows])))
        (tmp_path / f"{part}-labels{dot}idx1-ubyte{end}").write_bytes(pack(idx(LABELS[rows])))
    dataset = load_dataset(tmp_path)
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.train.shape == (1, 5, 6)
    assert dataset.train.labels.tolist() == [3, 1, 0]
    assert dataset.test.labels.tolist() == [2]
    np.testing.assert_allclose(dataset.train.take(np.arange(3))[:, 0] * 255, IMAGES[:3], atol=1e-4)
    np.testing.assert_allclose(dataset.test.take(np.arange(1))[:, 0] * 255, IMAGES[3:], atol=1e-4)


def test_labels_without_images(tmp_path: Path) -> None:
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    with pytest.raises(DataError, match="not the train images and labels both"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an IDX file"),
        (b"\x89PNG" + bytes(100), "not an IDX file"),
        (idx(IMAGES)[:-1], "cut short or too long"),
        (idx(IMAGES) + b"x", "cut short or too long"),
        (idx(IMAGES)[:10], "cut short or too long"),
        (idx(IMAGES, kind=13), "unsigned bytes with 3 axes"),
        (idx(LABELS), "unsigned bytes with 3 axes"),
    ],
)
def test_damaged_files(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    with pytest.raises(LoadError, match=words):
        load_dataset(tmp_path)


def test_damaged_archives(tmp_path: Path) -> None:
    whole = gzip.compress(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    for content in (whole[:-12], whole[:20], b"no archive", whole[:30] + bytes(20) + whole[50:]):
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
        with pytest.raises(LoadError):
            load_dataset(tmp_path)
