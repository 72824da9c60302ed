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
