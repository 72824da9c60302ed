"""From names and paths of data to splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from assay.base.errors import DataError
from assay.base.progress import silent
from assay.data.sources import Parts, load_parts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image folder of two classes, 9 x 12 pixels, and an array of images of 6 x 6."""
    random = np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 3)):
        for name in ("cat", "dog"):
            place = tmp_path / "pets" / part / name
            place.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(place / f"{index}.png")
    arrays = {"x_train": random.integers(0, 256, (8, 6, 6, 3), dtype=np.uint8), "y_train": np.arange(8) % 2}
    np.savez(tmp_path / "small.npz", **arrays)
    return tmp_path


def test_an_image_folder_is_brought_to_the_input_size(folder: Path) -> None:
    splits, names = load_parts(Parts(dataset=str(folder / "pets")), (3, 8, 8), 0, silent())
    assert names == ("cat", "dog")
    assert [part.shape if part else None for part in splits[:3]] == [(3, 8, 8)] * 3
    assert [len(part) if part else 0 for part in splits] == [6, 6, 6, 0]


def test_arrays_must_have_the_input_size(folder: Path) -> None:
    with pytest.raises(DataError, match=r"3x8x8 .*3x6x6"):
        load_parts(Parts(dataset=str(folder / "small.npz")), (3, 8, 8), 0, silent())


def test_arrays_of_another_size_are_resized_where_the_model_says_so(folder: Path) -> None:
    said: list[str] = []
    report = silent()
    report.say = said.append  # type: ignore[method-assign]
    splits, _ = load_parts(Parts(dataset=str(folder / "small.npz")), (1, 8, 8), 0, report, resize=True)
    assert splits.members is not None
    assert splits.members.shape == (1, 8, 8)
    assert said == ["small: images of 3x6x6 are resized to 1x8x8."]


@pytest.mark.parametrize("own", [{"dataset": "twice.npz"}, {"members": "twice.npz", "non_members": "twice.npz"}])
def test_duplicates_are_dropped_from_the_non_members_if_asked_for(tmp_path: Path, own: dict[str, str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)
    arrays = {"x_train": pixels[:8], "y_train": np.arange(8) % 2, "x_test": pixels[5:], "y_test": np.arange(7) % 2}
    np.savez(tmp_path / "twice.npz", **arrays)
    parts = Parts(**own).anchored(tmp_path)
    if "members" in own:
        with pytest.raises(DataError, match="--drop-duplicates leaves those non-members out"):
            load_parts(parts, (3, 4, 4), 0, silent())
    said: list[str] = []
    report = silent()
    report.say = said.append  # type: ignore[method-assign]
    splits, _ = load_parts(parts.model_copy(update={"drop_duplicates": True}), (3, 4, 4), 0, report)
    assert splits.non_members is not None
    assert sorted(splits.non_members.take(np.arange(4)).sum((1, 2, 3)).tolist()) == pytest.approx(
        sorted((pixels[8:].reshape(4, -1).sum(1) / 255).tolist())
    )
    assert said == ["3 of 7 images of twice test are in twice train too, and were dropped."]


def test_an_auxiliary_set_is_fitted_and_parts_may_be_missing(folder: Path) -> None:
    parts = Parts(non_members=str(folder / "pets"), auxiliary=str(folder / "small.npz"))
    splits, names = load_parts(parts, (3, 8, 8), 0, silent())
    assert splits.members is None
    assert splits.non_members is not None
    assert len(splits.non_members) == 6
    assert splits.auxiliary is not None
    assert (len(splits.auxiliary), splits.auxiliary.shape) == (8, (3, 8, 8))
    assert names == ("cat", "dog")


@pytest.mark.parametrize("own", [{"dataset": "pets"}, {"non_members": "pets"}])
def test_suspects_stand_beside_either_way_of_naming_data(folder: Path, own: dict[str, str]) -> None:
    parts = Parts(**own, suspects="pets").anchored(folder)
    splits, _ = load_parts(parts, (3, 8, 8), 0, silent())
    assert splits.suspects is not None
    assert (len(splits.suspects), splits.suspects.shape) == (6, (3, 8, 8))
    assert "suspects" in splits.digests()


def test_relative_paths_are_taken_from_a_folder_and_names_are_left(tmp_path: Path) -> None:
    parts = Parts(members="digits", non_members="a.npz", auxiliary="/b.npz").anchored(tmp_path)
    assert parts == Parts(members="digits", non_members=str(tmp_path / "a.npz"), auxiliary="/b.npz")


def test_there_is_one_way_to_say_it() -> None:
    for wrong in ({}, {"auxiliary": "digits"}, {"dataset": "digits", "members": "digits"}):
        with pytest.raises(ValidationError, match="either a dataset"):
            Parts(**wrong)
