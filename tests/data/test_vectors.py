"""Vectors of features: scaled to the box of the data, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.base.errors import DataError
from assay.data.images import ArrayImages, Joined, Subset
from assay.data.splits import Splits
from assay.data.vectors import Box, Vectors, box_of, feature_names, modality_of, raw_vectors, within
from assay.targets.target import Target

RAW = np.array([[1.0, -5.0, 3.0], [2.0, 5.0, 3.0], [4.0, 0.0, 3.0]], np.float32)


def vectors(raw: np.ndarray = RAW, name: str = "few") -> Vectors:
    return Vectors(raw, np.arange(len(raw)) % 2, name)


def test_rows_are_scaled_to_the_box_of_the_data_and_a_constant_feature_is_0() -> None:
    rows = vectors().take(np.arange(3))
    assert rows.shape == (3, 1, 1, 3)
    assert rows[:, 0, 0].tolist() == [[0.0, 0.0, 0.0], [pytest.approx(1 / 3), 1.0, 0.0], [1.0, 0.5, 0.0]]
    assert (raw_vectors(vectors(), np.arange(3)) == RAW).all()


def test_the_way_back_is_right_to_the_range_of_a_feature() -> None:
    random = np.random.default_rng(0)
    raw = (random.lognormal(0, 3, (500, 4)) * [1, 1e6, 1e-6, 1]).astype(np.float32)
    back = raw_vectors(vectors(raw), np.arange(500))
    assert (np.abs(back - raw) <= 1e-7 * np.ptp(raw, axis=0)).all()


def test_all_parts_of_a_target_share_one_box_and_the_model_sees_raw_features() -> None:
    seen: list[np.ndarray] = []

    def function(batch: np.ndarray) -> np.ndarray:
        seen.append(batch)
        return np.full((len(batch), 2), 0.5)

    low, high = vectors(), vectors(RAW * 10, "high")
    splits = Splits(Subset(low, [2, 0]), high, Joined(low, high))
    options = {"digest": "f", "input_shape": (1, 1, 3), "num_classes": 2, "modality": "vector"}
    target = Target.from_function(function, splits=splits, **options)  # type: ignore[arg-type]
    assert target.box is not None
    assert target.box.low.tolist() == [1.0, -50.0, 3.0]
    for part, raw in ((target.splits.members, RAW[[2, 0]]), (target.splits.non_members, RAW * 10)):
        assert part is not None
        target.logits(part.take(np.arange(len(raw))))
        np.testing.assert_allclose(seen[-1], raw, atol=1e-5)
    again = target.with_splits(Splits(low, None, None))
    assert again.digest != target.digest
    again.logits(low.take(np.arange(3)))
    np.testing.assert_allclose(seen[-1], RAW, atol=1e-6)  # not scaled back twice


def test_gradients_pass_through_the_way_back() -> None:
    network = torch.nn.Linear(3, 2)
    target = Target.from_module(
        network, input_shape=(1, 1, 3), num_classes=2, modality="vector", splits=Splits(vectors(), vectors(RAW + 1))
    )
    assert target.module is not None
    rows = torch.rand(2, 1, 1, 3, requires_grad=True)
    target.module(rows).sum().backward()
    assert rows.grad is not None
    assert rows.grad[..., 0].abs().min() > 0


def test_what_is_no_vector_is_said() -> None:
    with pytest.raises(DataError, match=r"feature 1 of row 2 is no finite number"):
        vectors(np.array([[0, 1], [2, 3], [4, np.nan]]))
    with pytest.raises(DataError, match=r"must be numbers \(n, features\)"):
        vectors(np.zeros((2, 2, 2)))
    images = ArrayImages(np.zeros((2, 1, 1, 3), np.uint8), [0, 1], "pictures")
    with pytest.raises(DataError, match="pictures holds no vectors, which the target reads"):
        box_of(images)
    with pytest.raises(DataError, match="3 and of 2 features"):
        Box(np.zeros(3), np.ones(3)).joined(Box(np.zeros(2), np.ones(2)))
    assert [modality_of(each) for each in (images, Subset(vectors(), [0]))] == ["image", "vector"]


def test_features_are_named() -> None:
    named = Vectors(RAW, np.zeros(3, np.int64), "named", features=("a", "b", "c"))
    assert feature_names(Subset(within(named, named.box), [1])) == ("a", "b", "c")
    assert feature_names(vectors()) == ("feature 0", "feature 1", "feature 2")
