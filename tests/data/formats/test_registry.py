from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assay.base.errors import DataError, UsageError
from assay.data.formats import DATASETS, Dataset, Reading, file_format, load_dataset, named
from assay.data.images import ArrayImages
from assay.data.splits import overlap


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test registers is forgotten."""
    DATASETS.names()
    monkeypatch.setattr(DATASETS, "_items", dict(DATASETS._items))


def tiny(shape: tuple[int, ...] = (2, 1, 2, 2), labels: tuple[int, ...] = (0, 1)) -> ArrayImages:
    return ArrayImages(np.zeros(shape, np.uint8), labels, "tiny")


def test_digits_are_what_they_say() -> None:
    from sklearn.datasets import load_digits

    digits = load_dataset("digits")
    assert digits.train is not None
    assert digits.test is not None
    assert (len(digits.train), len(digits.test)) == (901, 896)
    assert digits.class_names == tuple("0123456789")
    ones = np.flatnonzero(load_digits().target == 1)
    for part, first in ((digits.train, ones[0]), (digits.test, ones[1])):
        row = np.flatnonzero(part.labels == 1)[:1]
        np.testing.assert_allclose(part.take(row)[0, 0], load_digits().images[first] / 16, atol=0.5 / 255)
    counts = [np.bincount(part.labels, minlength=10) for part in (digits.train, digits.test)]
    assert np.abs(counts[0] - counts[1]).max() <= 1
    assert overlap(digits.train, digits.test) == 0


def test_digits_stay_the_same() -> None:
    digits = load_dataset("digits")
    assert [part.digest[:16] for part in digits[1:3] if part] == ["b0eccd988d06813f", "6bc4ec9f15391536"]


def test_a_new_set_and_a_new_format_are_one_function_each(registry: None, tmp_path: Path) -> None:
    @named("mine")
    def load_mine() -> Dataset:
        return Dataset("mine", tiny(), None)

    @file_format("dots", lambda path: path.suffix == ".dots", "a .dots file")
    def load_dots(path: Path, reading: Reading) -> Dataset:
        return Dataset(path.stem, None, tiny())

    (tmp_path / "my.dots").touch()
    assert load_dataset("mine").train is not None
    assert load_dataset(tmp_path / "my.dots").name == "my"
    with pytest.raises(ValueError, match="registered already"):
        named("mine")(load_mine)


def test_an_unknown_reference_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no data set, file or folder 'cifra10': did you mean 'cifar10'"):
        load_dataset("cifra10")


def test_a_file_of_no_known_format(tmp_path: Path) -> None:
    (tmp_path / "data.feather").touch()
    with pytest.raises(DataError, match=r"not a data set of a known format: .*a \.npz file"):
        load_dataset(tmp_path / "data.feather")


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (Dataset("empty", None, None), "neither training nor test"),
        (Dataset("uneven", tiny(), tiny((2, 3, 2, 2))), "training images are 1x2x2 and test images 3x2x2"),
        (Dataset("labels", tiny(labels=(0, 2)), None, ("a", "b")), "label 2, and labels has only 2 classes"),
    ],
)
def test_a_set_that_does_not_hold_together(registry: None, dataset: Dataset, words: str) -> None:
    named("broken")(lambda: dataset)
    with pytest.raises(DataError, match=words):
        load_dataset("broken")


def test_a_size_brings_every_format_to_it() -> None:
    digits = load_dataset("digits", size=(12, 10))
    assert digits.train is not None
    assert digits.train.shape == (1, 12, 10)
    assert digits.train.take(np.arange(3)).shape == (3, 1, 12, 10)
    assert load_dataset("digits", size=(8, 8)).train.digest == load_dataset("digits").train.digest  # type: ignore[union-attr]


def test_named_sets_say_where_they_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ASSAY_DATA", raising=False)
    with pytest.raises(DataError, match=r"mnist does not come with Assay: set ASSAY_DATA to a folder .* mnist\.npz"):
        load_dataset("mnist")
    monkeypatch.setenv("ASSAY_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"There is no .*mnist\.npz: ASSAY_DATA must be"):
        load_dataset("mnist")
    grey = np.zeros((2, 28, 28), np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=grey, y_train=np.array([0, 9]))
    mnist = load_dataset("mnist")
    assert mnist.train is not None
    assert mnist.train.shape == (1, 28, 28)
    assert mnist.class_names[9] == "9"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "shape", "sizes", "classes"),
    [
        ("cifar10", (3, 32, 32), (50_000, 1_000), 10),
        ("mnist", (1, 28, 28), (60_000, 3_000), 10),
        ("fashion_mnist", (1, 28, 28), (20_000, 10_000), 10),
        ("caltech101", (3, 64, 64), (7_807, 0), 99),
    ],
)
def test_the_real_sets(name: str, shape: tuple[int, ...], sizes: tuple[int, int], classes: int) -> None:
    dataset = load_dataset(name)
    assert dataset.train is not None
    assert dataset.train.shape == shape
    assert (len(dataset.train), len(dataset.test or ())) == sizes
    assert dataset.train.labels.max() == classes - 1
    assert len(dataset.class_names) in (0, classes)
    picture = dataset.train.take(np.array([0]))
    assert 0.0 <= float(picture.min()) < float(picture.max()) <= 1.0
