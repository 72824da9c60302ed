"""Recorded answers are checked in blocks, read by rows, and never all in memory."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from assay.base.errors import DataError, LoadError
from assay.data.formats import npz_mapping
from assay.data.formats.npz import read_arrays
from assay.targets import posteriors
from assay.targets.posteriors import PosteriorRows
from assay.targets.recorded_answers import read_outputs


def answers(count: int, classes: int = 10) -> np.ndarray:
    return softmax(np.random.default_rng(0).normal(size=(count, classes)), axis=1).astype(np.float32)


def write(path: Path, count: int, classes: int = 10, **changed: np.ndarray) -> Path:
    whole, labels = answers(count, classes), np.arange(count) % classes
    arrays = {"members": whole, "member_labels": labels, "non_members": whole[::-1], "non_member_labels": labels[::-1]}
    np.savez(path, **(arrays | changed))
    return path


def test_large_arrays_stay_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.npz", 40_000, 100)
    monkeypatch.setattr(npz_mapping, "MAPPED", 1 << 20)
    tracemalloc.start()
    target = read_outputs(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [len(part) for part in target.splits if part is not None] == [40_000, 40_000]
    assert peak < 48e6  # one block of 16 MiB, its copies, and labels; both arrays are 32 MB
    monkeypatch.undo()
    in_memory = read_outputs(path)
    assert target.digest == in_memory.digest
    rows = np.array([39_999, 0, 17])
    for part, other in zip(target.splits[:2], in_memory.splits[:2], strict=True):
        np.testing.assert_array_equal(part.take(rows), other.take(rows))


def test_rows_are_scaled_to_a_sum_of_one() -> None:
    raw = np.array([[0.5001, 0.5001], [0.25, 0.75]], np.float64)
    rows = PosteriorRows(raw, [0, 1], "a").take(np.array([1, 0]))
    assert rows.shape == (2, 1, 1, 2)
    np.testing.assert_allclose(rows.reshape(2, 2), [[0.25, 0.75], [0.5, 0.5]], rtol=1e-7)


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, r"NaN or infinity \(row 1234\)"), (np.inf, r"NaN or infinity \(row 1234\)"), (2.0, "row 1234 sums to")],
)
def test_a_bad_row_is_named_in_whatever_block_it_is(
    value: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posteriors, "BLOCK", 40_000)
    whole = answers(3000)
    whole[1234, 3] = value
    with pytest.raises(DataError, match=message):
        PosteriorRows(whole, np.zeros(3000, int), "a")


def test_a_negative_number_is_found_where_the_sum_is_right() -> None:
    whole = answers(3)
    whole[2, :2] = -0.1, whole[2, 0] + whole[2, 1] + 0.1
    with pytest.raises(DataError, match="non-negative"):
        PosteriorRows(whole, [0, 0, 0], "a")


@pytest.mark.parametrize("damage", ["cut", "flipped", "compressed"])
def test_a_damaged_archive_is_told_and_a_compressed_one_read(
    tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npz_mapping, "MAPPED", 1)
    path = write(tmp_path / "a.npz", 500)
    content = bytearray(path.read_bytes())
    if damage == "compressed":
        np.savez_compressed(path, **np.load(path))
        assert not isinstance(read_arrays(path)["members"], np.memmap)
        return
    path.write_bytes(content[:-100] if damage == "cut" else content[:1000] + b"\xff" + content[1001:])
    with pytest.raises(LoadError, match="cut short" if damage == "cut" else "Bad CRC"):
        read_arrays(path)


def test_an_array_that_says_more_than_it_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz_mapping, "MAPPED", 1)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("members.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 1000)})
        member.write(bytes(400))
    with pytest.raises(LoadError, match="holds"):
        read_arrays(tmp_path / "a.npz")
