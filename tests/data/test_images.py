from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from assay.base.errors import DataError
from assay.data.images import ArrayImages, Fitted, Images, Joined, Subset, batches, fit, in_order, to_pixels
from assay.data.streamed import StreamedImages
from oracles.resize import resized

SIDES = st.integers(1, 9)
WIDTHS = st.integers(2, 9)
"""torch resizes wrongly to a width of one pixel, which no image has."""

relaxed = settings(deadline=None, max_examples=60)


@st.composite
def pixels(draw: st.DrawFn, channels: tuple[int, ...] = (1, 3)) -> NDArray[np.uint8]:
    shape = (draw(st.integers(1, 5)), draw(st.sampled_from(channels)), draw(SIDES), draw(SIDES))
    return draw(arrays(np.uint8, shape))


@st.composite
def image_sets(draw: st.DrawFn) -> ArrayImages:
    images = draw(pixels())
    return ArrayImages(images, draw(arrays(np.int64, len(images), elements=st.integers(0, 9))), "drawn")


def rows_of(draw_from: ArrayImages) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, len(draw_from) - 1), min_size=1, max_size=8)


def streamed(images: ArrayImages) -> StreamedImages:
    return StreamedImages(
        lambda row: images.images[row], images.labels, shape=images.shape, digest=images.digest, name="streamed"
    )


def test_images_in_memory_are_images() -> None:
    assert isinstance(ArrayImages(np.zeros((1, 1, 2, 2), np.uint8), [0], "one"), Images)


def test_uint8_stays_as_it_is() -> None:
    array = np.zeros((4, 2, 2, 3), np.uint8)
    images = ArrayImages(array.transpose(0, 3, 1, 2), np.zeros(4, np.int64), "four")
    assert np.shares_memory(images.images, array)
    taken = images.take(np.array([1, 2]))
    assert taken.is_contiguous()
    taken += 1
    assert array.max() == 0


@relaxed
@given(image_sets(), st.data())
def test_take_gives_the_rows_in_pixels(images: ArrayImages, data: st.DataObject) -> None:
    rows = data.draw(rows_of(images))
    taken = images.take(np.array(rows))
    assert taken.dtype == torch.float32
    for row, image in zip(rows, taken, strict=True):
        np.testing.assert_array_equal(image, images.images[row].astype(np.float32) / np.float32(255))


@relaxed
@given(image_sets(), st.data())
def test_a_subset_of_a_subset(images: ArrayImages, data: st.DataObject) -> None:
    outer = data.draw(rows_of(images))
    subset = Subset(images, outer)
    inner = data.draw(st.lists(st.integers(0, len(outer) - 1), min_size=1))
    both = Subset(subset, inner)
    chosen = [outer[row] for row in inner]
    assert both.labels.tolist() == images.labels[chosen].tolist()
    assert torch.equal(both.take(np.arange(len(inner))), images.take(np.array(chosen)))


@relaxed
@given(image_sets(), st.data())
def test_any_change_changes_the_digest(images: ArrayImages, data: st.DataObject) -> None:
    pixel = tuple(data.draw(st.integers(0, size - 1)) for size in images.images.shape)
    changed = images.images.copy()
    changed[pixel] ^= 1
    row = pixel[0]
    relabelled = images.labels.copy()
    relabelled[row] += 1
    order = data.draw(st.permutations(range(len(images))))
    others = [
        ArrayImages(changed, images.labels, "drawn"),
        ArrayImages(images.images, relabelled, "drawn"),
        Subset(images, [row]),
        Fitted(images, (3, 10, 10)),
    ]
    if not np.array_equal(images.images[order], images.images) or not np.array_equal(
        images.labels[order], images.labels
    ):
        others.append(ArrayImages(images.images[order], images.labels[order], "drawn"))
    if order != list(range(len(images))):
        assert Subset(images, order).digest != Subset(images, range(len(images))).digest
    assert len({images.digest, *(other.digest for other in others)}) == len(others) + 1
    assert ArrayImages(images.images.copy(), images.labels.astype(np.uint8), "another name").digest == images.digest


@relaxed
@given(image_sets(), st.integers(1, 4))
def test_streamed_is_as_in_memory(images: ArrayImages, size: int) -> None:
    stream = streamed(images)
    rows = np.arange(len(images))[::-1].copy()
    assert torch.equal(stream.take(rows), images.take(rows))
    for a, b in zip(batches(stream, size), batches(images, size), strict=True):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)
    fitted = (Fitted(part, (1, 4, 4)).take(rows) for part in (stream, images))
    assert torch.equal(*fitted)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_all_of_it_in_order(workers: int) -> None:
    images = ArrayImages(np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1), np.arange(10), "ten")
    state = torch.get_rng_state()
    found = list(batches(images, 4, workers))
    assert torch.equal(torch.get_rng_state(), state)
    assert [len(batch.labels) for batch in found] == [4, 4, 2]
    assert torch.cat([batch.labels for batch in found]).tolist() == list(range(10))
    assert torch.equal(torch.cat([batch.images for batch in found]), images.take(np.arange(10)))


def _fail(row: int) -> int:
    if row == 1:
        raise DataError("row 1 is bad")
    return row


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_worker_keeps_its_one_sentence(workers: int) -> None:
    with pytest.raises(DataError) as caught:
        list(in_order(_fail, 3, workers))
    assert str(caught.value) == "row 1 is bad"


@relaxed
@given(arrays(np.float64, st.tuples(SIDES, SIDES), elements=st.floats(0, 1, width=32)), SIDES, WIDTHS)
def test_resizing_against_the_slow_one(plane: NDArray[np.float64], height: int, width: int) -> None:
    image = torch.tensor(plane, dtype=torch.float32)[None, None]
    found = fit(image, (1, height, width))[0, 0]
    np.testing.assert_allclose(found, resized(plane, height, width), atol=2e-6)


@relaxed
@given(pixels((3,)))
def test_luma_against_the_formula(images: NDArray[np.uint8]) -> None:
    found = fit(to_pixels(images), (1, *images.shape[2:]))
    red, green, blue = (images[:, channel].astype(float) / 255 for channel in range(3))
    np.testing.assert_allclose(found[:, 0], 0.299 * red + 0.587 * green + 0.114 * blue, atol=1e-6)


@relaxed
@given(pixels((1,)))
def test_grey_to_colour_and_back(images: NDArray[np.uint8]) -> None:
    grey = to_pixels(images)
    colour = fit(grey, (3, *images.shape[2:]))
    assert all(torch.equal(colour[:, channel], grey[:, 0]) for channel in range(3))
    torch.testing.assert_close(fit(colour, (1, *images.shape[2:])), grey, atol=1e-6, rtol=0)


@relaxed
@given(image_sets(), st.sampled_from([1, 3]), SIDES, WIDTHS)
def test_fitted_stays_in_range_and_keeps_labels(images: ArrayImages, channels: int, height: int, width: int) -> None:
    fitted = Fitted(images, (channels, height, width))
    taken = fitted.take(np.arange(len(images)))
    assert taken.shape == (len(images), channels, height, width)
    assert 0.0 <= float(taken.min()) <= float(taken.max()) <= 1.0
    assert fitted.labels.tolist() == images.labels.tolist()


IMAGES = np.zeros((3, 1, 2, 2), np.uint8)


def floats(value: float) -> NDArray[np.float32]:
    images = np.zeros((3, 1, 2, 2), np.float32)
    images[1, 0, 1, 1] = value
    return images


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (IMAGES, [0, 1], "3 images but 2 labels"),
        (IMAGES, [[1, 0], [0, 1], [1, 0]], r"one-hot rows take argmax"),
        (IMAGES, [0.0, 1.5, 2.0], "whole numbers"),
        (IMAGES, [0, 1, -1], "image 2 has the label -1"),
        (IMAGES, ["a", "b", "c"], "whole numbers"),
        (IMAGES[:, 0], [0, 1, 2], r"must be \(n, channels, height, width\)"),
        (IMAGES[:0], [], "holds no images"),
        (floats(float("nan")), [0, 1, 2], "set: .*NaN"),
        (floats(float("inf")), [0, 1, 2], r"span \[0, inf\]"),
        (floats(255.0), [0, 1, 2], "divide them by 255"),
        (floats(-0.5), [0, 1, 2], r"span \[-0.5, 0\]"),
        (IMAGES.astype(np.int64), [0, 1, 2], "must be uint8 or floats"),
        (IMAGES.astype(object), [0, 1, 2], "must be uint8 or floats"),
    ],
)
def test_bad_images_and_labels_are_one_sentence(images: NDArray[np.generic], labels: list[object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        ArrayImages(images, labels, "set")


def test_bad_pixels_are_refused_wherever_they_come_from() -> None:
    for images, words in [(floats(float("nan")), "NaN"), (np.ones((1, 1, 1, 1), np.int32), "uint8 or floats")]:
        with pytest.raises(DataError, match=words):
            to_pixels(images)
        stream = StreamedImages(lambda row, of=images: of[row], [0], shape=images.shape[1:], digest="", name="bad")
        with pytest.raises(DataError, match=words):
            stream.take(np.array([0]) if words != "NaN" else np.array([1]))


def test_a_streamed_image_of_another_size() -> None:
    stream = StreamedImages(
        lambda row: np.zeros((1, 2, 2 + row), np.uint8), [0, 0], shape=(1, 2, 2), digest="", name="uneven"
    )
    with pytest.raises(DataError, match="uneven: image 1 is 1x2x3, and the set is 1x2x2"):
        stream.take(np.array([0, 1]))


@pytest.mark.parametrize("rows", [[], [-1], [3]])
def test_a_subset_of_rows_that_are_not_there(rows: list[int]) -> None:
    with pytest.raises(DataError, match="asked for"):
        Subset(ArrayImages(IMAGES, [0, 1, 2], "set"), rows)


def test_channels_that_do_not_fit() -> None:
    four = ArrayImages(np.zeros((1, 4, 2, 2), np.uint8), [0], "four")
    with pytest.raises(DataError, match="4 channels cannot be made into 3"):
        Fitted(four, (3, 2, 2))
    assert Fitted(four, (4, 3, 3)).take(np.array([0])).shape == (1, 4, 3, 3)


def test_joined_sets_are_one_after_another() -> None:
    random = np.random.default_rng(0)
    first, second = (
        ArrayImages(random.integers(0, 256, (n, 1, 3, 3), dtype=np.uint8), np.arange(n), f"set {n}") for n in (4, 3)
    )
    joined = Joined(first, second)
    assert joined.labels.tolist() == [0, 1, 2, 3, 0, 1, 2]
    rows = np.array([6, 0, 4, 3])
    expected = np.concatenate([first.images, second.images])[rows] / np.float32(255)
    assert np.array_equal(joined.take(rows).numpy(), expected)
    assert joined.digest != Joined(second, first).digest
    with pytest.raises(DataError, match="3x3"):
        Joined(first, ArrayImages(np.zeros((1, 1, 4, 4), np.uint8), np.zeros(1, np.int64), "other"))
