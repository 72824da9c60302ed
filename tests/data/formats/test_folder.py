from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assay.base.errors import DataError, LoadError
from assay.data import streamed
from assay.data.formats import load_dataset
from assay.data.images import batches
from assay.data.streamed import StreamedImages

RANDOM = np.random.default_rng(0)


def picture(height: int = 6, width: int = 5, channels: int = 3) -> NDArray[np.uint8]:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, pixels: NDArray[Any], **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, NDArray[np.uint8]]:
    """Path below the folder to pixels, in the order in which they must come."""
    paths = ["train/ant/1.png", "train/ant/deep/2.PNG", "train/bee/0.webp", "test/ant/3.png", "test/bee/4.png"]
    made = {path: picture() for path in paths}
    for path, pixels in made.items():
        save(tmp_path / path, pixels, **({"lossless": True} if path.endswith("webp") else {}))
    (tmp_path / "train/bee/notes.txt").write_text("not an image")
    return made


def test_class_folders(tmp_path: Path, pictures: dict[str, NDArray[np.uint8]]) -> None:
    dataset = load_dataset(tmp_path)
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.class_names == ("ant", "bee")
    assert dataset.train.labels.tolist() == [0, 0, 1]
    assert dataset.test.labels.tolist() == [0, 1]
    found = np.concatenate([part.take(np.arange(len(part))).numpy() for part in (dataset.train, dataset.test)])
    expected = np.stack(list(pictures.values())).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found * 255, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["val", "validation"])
def test_other_names_of_the_test_part(name: str, tmp_path: Path, pictures: dict[str, NDArray[np.uint8]]) -> None:
    (tmp_path / "test").rename(tmp_path / name)
    dataset = load_dataset(tmp_path)
    assert dataset.test is not None
    assert len(dataset.test) == 2


def test_class_folders_alone_are_a_train_part(tmp_path: Path, pictures: dict[str, NDArray[np.uint8]]) -> None:
    dataset = load_dataset(tmp_path / "train")
    assert dataset.train is not None
    assert dataset.test is None
    assert len(dataset.train) == 3


def test_large_folders_are_streamed(
    tmp_path: Path, pictures: dict[str, NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = load_dataset(tmp_path).train
    monkeypatch.setattr(streamed, "IN_MEMORY", 6 * 5 * 3 * 2)
    dataset = load_dataset(tmp_path)
    large = dataset.train
    assert isinstance(large, StreamedImages)
    assert not isinstance(dataset.test, StreamedImages)
    assert small is not None
    rows = np.array([2, 0, 0])
    np.testing.assert_array_equal(large.take(rows), small.take(rows))
    for workers in (0, 1):
        found = [batch.images for batch in batches(large, 2, workers)]
        np.testing.assert_array_equal(np.concatenate(found), small.take(np.arange(3)))


def test_the_digest_of_a_streamed_folder_is_of_its_content(
    tmp_path: Path, pictures: dict[str, NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "IN_MEMORY", 0)

    def digest(**options: Any) -> str:
        part = load_dataset(tmp_path / "train", **options).train
        assert part is not None
        return part.digest

    first = digest()
    (tmp_path / "train/ant/1.png").rename(tmp_path / "train/ant/0.png")
    assert digest() == first
    assert digest(size=(3, 3)) != first
    (tmp_path / "train/ant/0.png").rename(tmp_path / "train/ant/z.png")
    reordered = digest()
    changed = pictures["train/ant/1.png"].copy()
    changed[0, 0, 0] ^= 1
    save(tmp_path / "train/ant/z.png", changed)
    recoloured = digest()
    (tmp_path / "train/ant/z.png").rename(tmp_path / "train/bee/.z.png")
    assert len({first, reordered, recoloured, digest()}) == 4


def test_grey_only_if_all_are_grey(tmp_path: Path) -> None:
    grey = picture(channels=1)
    save(tmp_path / "a/0.png", grey)
    save(tmp_path / "a/1.png", grey)
    train = load_dataset(tmp_path).train
    assert train is not None
    assert train.shape == (1, 6, 5)
    np.testing.assert_allclose(train.take(np.array([0]))[0, 0] * 255, grey, atol=1e-4)
    save(tmp_path / "a/2.jpg", picture())
    train = load_dataset(tmp_path).train
    assert train is not None
    assert train.shape == (3, 6, 5)
    np.testing.assert_allclose(train.take(np.array([0]))[0] * 255, np.stack([grey] * 3), atol=1e-4)


def test_palettes_and_transparency_become_colour(tmp_path: Path) -> None:
    Image.fromarray(picture()).quantize(4).save(_made(tmp_path / "a/0.png"))
    save(tmp_path / "a/1.png", picture(channels=4))
    train = load_dataset(tmp_path).train
    assert train is not None
    assert train.shape == (3, 6, 5)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_sizes_that_differ(tmp_path: Path) -> None:
    save(tmp_path / "a/0.png", picture())
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 15:25] = 200
    save(tmp_path / "a/1.png", wide)
    with pytest.raises(DataError, match=r"0.png is 6x5, .*1.png is 10x40, height x width\); give a size"):
        load_dataset(tmp_path)
    train = load_dataset(tmp_path, size=(5, 5)).train
    assert train is not None
    assert train.shape == (3, 5, 5)
    middle = train.take(np.array([1]))[0, :, :, 1:4] * 255  # the outer columns blend with what was cut off
    np.testing.assert_allclose(middle, 200, atol=1e-3)


def test_parts_of_different_sizes(tmp_path: Path, pictures: dict[str, NDArray[np.uint8]]) -> None:
    for path in ("test/ant/3.png", "test/bee/4.png"):
        save(tmp_path / path, picture(9, 9))
    with pytest.raises(DataError, match="training images are 3x6x5 and test images 3x9x9"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path, size=(6, 6)).test is not None


def test_a_class_that_only_the_test_part_has(tmp_path: Path, pictures: dict[str, NDArray[np.uint8]]) -> None:
    save(tmp_path / "test/cow/0.png", picture())
    with pytest.raises(DataError, match="the class 'cow'"):
        load_dataset(tmp_path)


def bomb() -> bytes:
    """A PNG of 50,000 x 50,000 black pixels in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def test_decompression_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _made(tmp_path / "a/0.png").write_bytes(bomb())
    with pytest.raises(DataError, match=r"0\.png would unpack to more than 64 million pixels"):
        load_dataset(tmp_path)
    save(tmp_path / "a/0.png", np.zeros((8200, 8200), np.uint8))
    with pytest.raises(DataError, match="more than 64 million"):
        load_dataset(tmp_path)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    save(tmp_path / "a/0.png", picture(40, 40))
    whole = (tmp_path / "a/0.png").read_bytes()
    for content in (b"", b"<html>", whole[:20], whole[: len(whole) // 2], b"GIF89a" + bytes(20)):
        (tmp_path / "a/0.png").write_bytes(content)
        with pytest.raises(LoadError, match=r"0\.png cannot be decoded"):
            load_dataset(tmp_path)


def test_sixteen_bit_images(tmp_path: Path) -> None:
    save(tmp_path / "a/0.png", np.full((4, 4), 40_000, np.uint16))
    with pytest.raises(DataError, match="8-bit grey or colour"):
        load_dataset(tmp_path)


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "train" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no PNG, JPEG or WebP image"):
        load_dataset(tmp_path)
