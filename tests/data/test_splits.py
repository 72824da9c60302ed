from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.base.errors import DataError
from assay.data.formats import Dataset, load_dataset
from assay.data.images import ArrayImages, Fitted, Images, Subset
from assay.data.splits import MEMBERS, Splits, make_splits, overlap
from assay.data.streamed import StreamedImages
from assay.targets.target import Target

SHAPE = (1, 2, 2)


def numbered(first: int, count: int, name: str = "numbered") -> ArrayImages:
    """Images that say their number, which is also their label."""
    numbers = np.arange(first, first + count)
    pixels = np.zeros((count, *SHAPE), np.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1], pixels[:, 0, 1, 0] = numbers % 256, numbers // 256 % 256, numbers // 65536
    return ArrayImages(pixels, numbers, name)


def dataset(train: int, test: int) -> Dataset:
    return Dataset(
        "numbers", numbered(0, train, "train") if train else None, numbered(train, test, "test") if test else None
    )


def split(data: Dataset, **options: Any) -> Splits:
    return make_splits(data, input_shape=SHAPE, **{"seed": 0, **options})


def numbers(part: Images | None) -> list[int]:
    return [] if part is None else part.labels.tolist()


@pytest.mark.parametrize(
    ("train", "test", "members", "rest"),
    [(30_000, 500, 10_000, 20_000), (20_000, 50, 10_000, 10_000), (900, 800, 450, 450), (3, 1, 1, 2), (0, 5, 0, 0)],
)
def test_sizes_unless_told_otherwise(train: int, test: int, members: int, rest: int) -> None:
    parts = split(dataset(train, test))
    assert [len(numbers(part)) for part in parts[:3]] == [members, test, rest]
    assert MEMBERS == 10_000


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 60), st.integers(0, 20), st.integers(0, 2**32), st.data())
def test_parts_are_apart_and_from_the_right_side(train: int, test: int, seed: int, data: st.DataObject) -> None:
    members = data.draw(st.none() | st.integers(0, train))
    auxiliary = data.draw(st.none() | st.integers(0, train - (members or 0)))
    non_members = data.draw(st.none() | st.integers(0, test))
    parts = split(dataset(train, test), members=members, auxiliary=auxiliary, non_members=non_members, seed=seed)
    inside, outside, rest = map(numbers, parts[:3])
    assert len({*inside, *outside, *rest}) == len(inside) + len(outside) + len(rest)
    assert {*inside, *rest} <= set(range(train))
    assert set(outside) <= set(range(train, train + test))
    for wanted, found in ((members, inside), (auxiliary, rest), (non_members, outside)):
        assert wanted is None or len(found) == wanted
    if auxiliary is None:
        assert len(inside) + len(rest) == train
    if non_members is None:
        assert len(outside) == test


def test_the_seed_decides_and_prefixes_are_random_samples() -> None:
    data = dataset(4_000, 2_000)
    first, again, other = split(data), split(data), split(data, seed=1)
    assert first.digests() == again.digests()
    assert set(first.digests()) == {"members", "non_members", "auxiliary"}
    assert len({*first.digests().values(), *other.digests().values()}) == 6
    for part, low, high in ((first.members, 0, 4_000), (first.non_members, 4_000, 6_000), (first.auxiliary, 0, 4_000)):
        mean = np.mean(numbers(part)[:400])
        error = (high - low) / 12**0.5 / 400**0.5
        assert abs(mean - (low + high) / 2) < 5 * error


def test_another_auxiliary_set_leaves_the_members_alone() -> None:
    data, strange = dataset(100, 50), numbered(1_000, 30, "strange")
    plain, few, other = split(data), split(data, auxiliary=5), split(data, out_of_distribution=strange)
    assert numbers(plain.members) == numbers(few.members) == numbers(other.members)
    assert numbers(plain.auxiliary)[:5] == numbers(few.auxiliary)
    assert sorted(numbers(other.auxiliary)) == list(range(1_000, 1_030))
    assert len(numbers(split(data, out_of_distribution=strange, members=100).members)) == 100


def test_an_out_of_distribution_set_is_made_to_fit() -> None:
    strange = ArrayImages(np.random.default_rng(0).integers(0, 256, (9, 3, 5, 7), np.uint8), np.arange(9), "strange")
    part = split(dataset(10, 10), out_of_distribution=strange, auxiliary=4).auxiliary
    assert part is not None
    assert part.shape == SHAPE
    assert len(part) == 4
    np.testing.assert_array_equal(part.take(np.arange(4)), Fitted(strange, SHAPE).take(part.labels))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"members": 11}, "11 members were asked for, and numbers has 10 training images"),
        ({"members": 6, "auxiliary": 5}, "6 members and 5 auxiliary images were asked for"),
        ({"auxiliary": 11}, "11 auxiliary images were asked for"),
        ({"non_members": 6}, "6 non-members were asked for, and there are 5"),
        (
            {"auxiliary": 8, "out_of_distribution": numbered(100, 7)},
            "8 auxiliary images .*, and there are 7",
        ),
        ({"members": -1}, "must be 0 or more"),
        ({"auxiliary": -1}, "must be 0 or more"),
        ({"input_shape": (3, 2, 2)}, "takes images of 3x2x2 .*, and train has 1x2x2"),
        ({"out_of_distribution": ArrayImages(np.zeros((2, 4, 2, 2), np.uint8), [0, 0], "odd")}, "4 channels"),
    ],
)
def test_more_than_there_is(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        make_splits(dataset(10, 5), **{"input_shape": SHAPE, "seed": 0, **options})


def test_parts_that_are_not_there() -> None:
    only_test, only_train = split(dataset(0, 5)), split(dataset(10, 0))
    assert (only_test.members, only_test.auxiliary) == (None, None)
    assert only_train.non_members is None
    assert split(dataset(10, 5), members=0, non_members=0).digests().keys() == {"auxiliary"}
    with pytest.raises(DataError, match="3 members were asked for"):
        split(dataset(0, 5), members=3)
    with pytest.raises(DataError, match="3 non-members were asked for"):
        split(dataset(10, 0), non_members=3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=15), st.lists(st.integers(0, 20), min_size=1, max_size=15))
def test_overlap_against_pairs(a: list[int], b: list[int]) -> None:
    pool = numbered(0, 21)
    smaller, larger = sorted((a, b), key=len)
    expected = sum(any(x == y for y in larger) for x in smaller)
    assert overlap(Subset(pool, a), Subset(pool, b)) == expected


def test_overlap_sees_pixels_only() -> None:
    plain = numbered(0, 10)
    floats = ArrayImages(plain.images.astype(np.float32) / np.float32(255), np.zeros(10, int), "floats")
    stream = StreamedImages(lambda row: plain.images[row], np.zeros(10, int), shape=SHAPE, digest="", name="stream")
    assert overlap(plain, floats) == overlap(stream, floats) == 10


def test_a_test_set_that_was_trained_on_is_refused() -> None:
    data = Dataset("twice", numbered(0, 1_000, "train"), numbered(0, 1_000, "test"))
    with pytest.raises(DataError, match=r"500 images of train \(members\) are in test \(non-members\) too"):
        split(data)


@pytest.mark.parametrize(("common", "refused"), [(0, False), (5, False), (6, True)])
def test_a_few_true_duplicates_are_left_in_and_counted(common: int, refused: bool) -> None:
    data = Dataset("few", numbered(0, 500, "train"), numbered(500 - common, 500, "test"))
    if refused:
        with pytest.raises(DataError, match=r"6 images .*at most 1% of 500"):
            split(data, members=500)
    else:
        parts = split(data, members=500)
        assert parts.duplicates() == common
        assert len(numbers(parts.members)) == len(numbers(parts.non_members)) == 500


def test_without_both_sides_there_are_no_duplicates() -> None:
    assert Splits(members=numbered(0, 5)).duplicates() == 0


@pytest.mark.data
def test_real_cifar10_is_quick() -> None:
    start = time.process_time()
    cifar10 = load_dataset("cifar10")
    loaded = time.process_time()
    parts = make_splits(cifar10, input_shape=(3, 32, 32), out_of_distribution=load_dataset("caltech101").train, seed=0)
    assert [len(numbers(part)) for part in parts[:3]] == [10_000, 1_000, 7_807]
    assert parts.duplicates() == 0
    assert loaded - start < 4.0  # about 0.6 s alone; room for a busy machine


def test_a_model_trained_on_the_first_rows_only() -> None:
    inside, outside, rest = map(numbers, split(dataset(20, 5), trained_on=7)[:3])
    assert sorted(inside) == list(range(7))
    assert sorted(outside) == list(range(20, 25))
    assert sorted(rest) == list(range(7, 20))
    few, _, some = map(numbers, split(dataset(20, 5), trained_on=7, members=3, auxiliary=4)[:3])
    assert len(few) == 3
    assert set(few) < set(range(7))
    assert len(some) == 4
    assert set(some) < set(range(7, 20))
    for options, words in (
        ({"members": 8}, "8 members"),
        ({"auxiliary": 14}, "14 auxiliary"),
        ({"trained_on": 21}, "21 images"),
    ):
        with pytest.raises(DataError, match=words):
            split(dataset(20, 5), **{"trained_on": 7, **options})


def test_arrays_in_place_of_images_are_refused_in_a_sentence() -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    arrays: Any = (np.zeros((5, 1, 4, 4)), np.zeros(5, int))
    with pytest.raises(DataError, match=r"non_members are a tuple, not images with labels: say assay\.ArrayImages"):
        Target.from_module(module, input_shape=(1, 4, 4), num_classes=3, splits=Splits(non_members=arrays))
