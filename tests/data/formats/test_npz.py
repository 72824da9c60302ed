from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from assay.base.errors import DataError, LoadError, UnsafeFileError
from assay.data.formats import load_dataset
from assay.data.formats.layout import channels_first

LABELS = np.array([0, 1, 2, 3])
COLOUR = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)


def saved(path: Path, **parts: Any) -> Path:
    np.savez(path / "set.npz", **parts)
    return path / "set.npz"


@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "float64", "float32", "labels (n, 1)", "compressed"])
def test_every_layout_gives_the_same_images(layout: str, tmp_path: Path) -> None:
    images: NDArray[Any] = COLOUR
    if layout == "NCHW":
        images = COLOUR.transpose(0, 3, 1, 2)
    elif layout.startswith("float"):
        images = (COLOUR / 255).astype(layout)
    labels = LABELS[:, None] if layout == "labels (n, 1)" else LABELS
    save = np.savez_compressed if layout == "compressed" else np.savez
    save(tmp_path / "set.npz", x_train=images, y_train=labels)
    dataset = load_dataset(tmp_path / "set.npz")
    assert dataset.test is None
    assert dataset.train is not None
    assert dataset.name == "set"
    assert dataset.train.labels.tolist() == [0, 1, 2, 3]
    found = dataset.train.take(np.arange(4)).numpy()
    np.testing.assert_allclose(found, COLOUR.transpose(0, 3, 1, 2) / 255, atol=1e-7)


def test_grey_and_test_only(tmp_path: Path) -> None:
    dataset = load_dataset(saved(tmp_path, x_test=COLOUR[..., 0], y_test=LABELS))
    assert dataset.train is None
    assert dataset.test is not None
    np.testing.assert_array_equal(dataset.test.take(np.arange(4))[:, 0] * 255, COLOUR[..., 0])


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(4, 6), st.integers(4, 6), st.sampled_from([1, 3]))))
def test_channels_first_turns_nothing_around(images: NDArray[np.uint8]) -> None:
    turned = channels_first(images, "drawn")
    for image, channel in ((0, 0), (len(images) - 1, images.shape[3] - 1)):
        np.testing.assert_array_equal(turned[image, channel], images[image, :, :, channel])
    assert channels_first(turned, "drawn") is turned


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"x_train": COLOUR}, "belong together"),
        ({"y_test": LABELS}, "belong together"),
        ({"x_train": COLOUR, "y_train": LABELS[:2]}, "4 images but 2 labels"),
        ({"x_train": COLOUR, "y_train": np.eye(4)}, "one-hot"),
        ({"x_train": COLOUR, "y_train": LABELS - 1}, "label -1"),
        ({"x_train": COLOUR * np.nan, "y_train": LABELS}, "NaN"),
        ({"x_train": COLOUR.astype(np.float32), "y_train": LABELS}, "divide them by 255"),
        ({"x_train": COLOUR.astype(np.int64), "y_train": LABELS}, "uint8 or floats"),
        ({"x_train": COLOUR[:, :, 0, 0], "y_train": LABELS}, "images must be"),
        ({"x_train": np.zeros((4, 3, 5, 3), np.uint8), "y_train": LABELS}, "either the second or the last"),
        ({"x_train": np.zeros((4, 5, 5, 4), np.uint8), "y_train": LABELS}, "neither end is 1 or 3"),
        ({"images": COLOUR}, "neither training nor test"),
    ],
)
def test_arrays_that_are_no_images(parts: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        load_dataset(saved(tmp_path, **parts))


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return subprocess.call, (["touch", str(tmp_path / "ran")],)

    path = saved(tmp_path, x_train=np.array([Evil()], dtype=object), y_train=LABELS)
    (tmp_path / "ran").unlink(missing_ok=True)
    with pytest.raises(UnsafeFileError, match="pickled objects"):
        load_dataset(path)
    assert not (tmp_path / "ran").exists()


def test_damaged_files(tmp_path: Path) -> None:
    path = saved(tmp_path, x_train=COLOUR, y_train=LABELS)
    whole = path.read_bytes()
    for damaged in (b"", b"PK", whole[:-30], whole[: len(whole) // 2], b"\0" * 500, whole.replace(b"NUMPY", b"NUMPU")):
        path.write_bytes(damaged)
        with pytest.raises(LoadError):
            load_dataset(path)
    flipped = bytearray(whole)
    flipped[whole.index(COLOUR.tobytes()[:16])] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(LoadError, match="CRC"):
        load_dataset(path)
