from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from assay.base.errors import DataError
from assay.data.formats import from_torch, pytorch
from assay.data.images import ArrayImages, batches
from assay.data.streamed import StreamedImages

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)
LABELS = [0, 2, 1, 1, 0]


class Made(torch.utils.data.Dataset[Any]):
    def __init__(self, make: Callable[[np.ndarray[Any, Any], int], Any], count: int = 5) -> None:
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> Any:
        return self.make(PIXELS[row], LABELS[row])


def hwc(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(image.transpose(1, 2, 0))


STYLES: dict[str, Callable[[np.ndarray[Any, Any], int], Any]] = {
    "uint8 tensors": lambda image, label: (torch.from_numpy(image), label),
    "float tensors": lambda image, label: (torch.from_numpy(image) / 255, torch.tensor(label)),
    "arrays": lambda image, label: (hwc(image), np.int64(label)),
    "pictures": lambda image, label: [Image.fromarray(hwc(image)), label],
}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize("style", STYLES)
def test_every_style_gives_the_same_images(
    style: str, limit: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pytorch, "IN_MEMORY", limit)
    images = from_torch(Made(STYLES[style]), name="five", workers=workers)
    assert isinstance(images, StreamedImages if limit == 0 else ArrayImages)
    assert images.labels.tolist() == LABELS
    assert images.shape == (3, 4, 6)
    np.testing.assert_allclose(images.take(np.array([4, 1])) * 255, PIXELS[[4, 1]], atol=1e-4)
    np.testing.assert_allclose(torch.cat([batch.images for batch in batches(images, 2)]) * 255, PIXELS, atol=1e-4)


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_the_digest_is_of_pixels_and_labels(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch, "IN_MEMORY", limit)
    same = [from_torch(Made(STYLES[style])).digest for style in ("uint8 tensors", "arrays", "pictures")]
    flipped = from_torch(Made(lambda image, label: (image[:, ::-1].copy(), label))).digest
    relabelled = from_torch(Made(lambda image, label: (torch.from_numpy(image), label + 1))).digest
    assert len(set(same)) == 1
    assert len({*same, flipped, relabelled}) == 3


def test_grey_tensors_and_pictures() -> None:
    for make in (
        lambda image, label: (torch.from_numpy(image[0]), label),
        lambda image, label: (Image.fromarray(image[0]), label),
    ):
        images = from_torch(Made(make))
        assert images.shape == (1, 4, 6)
        np.testing.assert_allclose(images.take(np.arange(5))[:, 0] * 255, PIXELS[:, 0], atol=1e-4)


class Stream(torch.utils.data.IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(())


@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (Stream(), "map-style"),
        (Made(lambda image, label: (image, label), count=0), "length of 1 or more"),
        (Made(lambda image, label: image), r"not an \(image, label\)"),
        (Made(lambda image, label: (image, torch.ones(3))), r"not an \(image, label\)"),
        (Made(lambda image, label: ("no image", label)), "item 0"),
        (Made(lambda image, label: (torch.ones(4), label)), r"must be \(channels, height, width\)"),
        (Made(lambda image, label: (torch.from_numpy(image)[:, : 4 - label], label)), "image 1 is 3x2x6, the first"),
        (Made(lambda image, label: (torch.randn(3, 4, 6), label)), r"item 0: .*\[0, 1\]"),
        (Made(lambda image, label: (torch.rand(3, 4, 6), label)), "random transforms"),
        (Made(lambda image, label: (torch.full((3, 4, 6), torch.nan), label)), "item 0: .*NaN"),
        (Made(lambda image, label: (torch.from_numpy(image).int(), label)), "uint8 or floats"),
        (Made(lambda image, label: (torch.from_numpy(image), label - 1)), "label -1"),
        (Made(lambda image, label: (torch.from_numpy(image), label + 0.5)), "whole numbers"),
    ],
)
def test_data_sets_that_are_no_images(dataset: Any, words: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch, "IN_MEMORY", limit)
    with pytest.raises(DataError, match=words):
        from_torch(dataset, name="bad")
