from __future__ import annotations

import contextlib
import os
import pickle
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.base.errors import LoadError, UnsafeFileError
from assay.data.formats import Dataset, load_dataset
from assay.data.formats.pickles import read_pickled_arrays

ROWS = np.random.default_rng(0).integers(0, 256, (6, 3072), dtype=np.uint8)
LABELS = [4, 1, 0, 2, 3, 4]
NAMES = ["ant", "bee", "cow", "dog", "elk"]


def python_two(rows: np.ndarray[Any, Any], **lists: list[int]) -> bytes:
    """The opcodes that Python 2 and its NumPy wrote into the published batches (protocol 2, 8-bit strings)."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def number(value: int) -> bytes:
        return b"M" + struct.pack("<H", value)

    raw = rows.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R("
        b"K\1" + number(len(rows)) + number(3072) + b"\x86cnumpy\ndtype\n" + text(b"u1") + b"K\0K\1\x87R("
        b"K\3"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T"
        + struct.pack("<i", len(raw))
        + raw
        + b"tb"
    )
    items = text(b"data") + array
    for key, values in lists.items():
        items += text(key.encode()) + b"](" + b"".join(b"K" + bytes([value]) for value in values) + b"e"
    return b"\x80\x02}(" + items + text(b"batch_label") + text(b"one of many") + b"u."


def python_three(rows: np.ndarray[Any, Any], **lists: list[int]) -> bytes:
    return pickle.dumps({"data": rows, **lists}, protocol=2)


def cifar10(folder: Path, kind: str) -> None:
    write = {"python 2": python_two, "python 3": python_three}
    for name, rows in (("data_batch_1", slice(0, 3)), ("data_batch_2", slice(3, 5)), ("test_batch", slice(5, 6))):
        if kind == "binary":
            records = [bytes([label]) + row.tobytes() for label, row in zip(LABELS[rows], ROWS[rows], strict=True)]
            (folder / f"{name}.bin").write_bytes(b"".join(records))
        else:
            (folder / name).write_bytes(write[kind](ROWS[rows], labels=LABELS[rows]))
    if kind == "binary":
        (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    else:
        (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": NAMES}, protocol=2))


def cifar100(folder: Path, kind: str) -> None:
    for name, rows in (("train", slice(0, 5)), ("test", slice(5, 6))):
        if kind == "binary":
            records = [
                b"\7" + bytes([label]) + row.tobytes() for label, row in zip(LABELS[rows], ROWS[rows], strict=True)
            ]
            (folder / f"{name}.bin").write_bytes(b"".join(records))
        else:
            coarse = [7] * len(LABELS[rows])
            (folder / name).write_bytes(python_two(ROWS[rows], coarse_labels=coarse, fine_labels=LABELS[rows]))
    if kind == "binary":
        (folder / "fine_label_names.txt").write_text("\n".join(NAMES))
    else:
        (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": NAMES}, protocol=2))


def check(dataset: Dataset) -> None:
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.class_names == tuple(NAMES)
    for part, rows in ((dataset.train, slice(0, 5)), (dataset.test, slice(5, 6))):
        assert part.labels.tolist() == LABELS[rows]
        pixels = part.take(np.arange(len(part))).numpy()
        np.testing.assert_allclose(pixels * 255, ROWS[rows].reshape(-1, 3, 32, 32), atol=1e-4)


@pytest.mark.parametrize("kind", ["binary", "python 2", "python 3"])
def test_cifar10(kind: str, tmp_path: Path) -> None:
    cifar10(tmp_path, kind)
    check(load_dataset(tmp_path))


@pytest.mark.parametrize("kind", ["binary", "python 2"])
def test_cifar100_by_its_fine_labels(kind: str, tmp_path: Path) -> None:
    cifar100(tmp_path, kind)
    check(load_dataset(tmp_path))


def test_the_python_two_writer_is_right() -> None:
    """What the test writes is what a real unpickler reads."""
    content = pickle.loads(python_two(ROWS, labels=LABELS), encoding="bytes")
    np.testing.assert_array_equal(content[b"data"], ROWS)
    assert content[b"labels"] == LABELS


class Call:
    """Runs a command when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("where", ["data", "labels", "deep", "key"])
def test_a_batch_with_code_is_refused_and_not_run(where: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    evil = Call(os.system, f"touch {mark}")
    content: dict[Any, Any] = {"data": ROWS, "labels": LABELS}
    content |= {"deep": [[evil]]} if where == "deep" else {(evil,): 1} if where == "key" else {where: evil}
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(UnsafeFileError, match=r"asks for posix\.system.*refused"):
        load_dataset(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "evil",
    [
        Call(eval, "1"),
        Call(subprocess.check_output, ["true"]),
        Call(np.load, "x"),
        Call(__import__, "os"),
        Call(bytearray, 10),
        Call(np.ndarray, (2,)),
        np.float64(1),
        np.array([1, None], dtype=object),
        {1, 2},
        Path,
    ],
    ids=lambda evil: getattr(getattr(evil, "call", (evil,))[0], "__name__", type(evil).__name__),
)
def test_nothing_but_arrays_and_plain_values(evil: Any, tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({"data": evil, "labels": LABELS}, protocol=2))
    with pytest.raises((UnsafeFileError, LoadError)):
        load_dataset(tmp_path)


def test_forged_opcodes_reach_no_attribute(tmp_path: Path) -> None:
    path = tmp_path / "batch"
    path.write_bytes(b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.data\x93.")
    with pytest.raises(UnsafeFileError, match=r"numpy\.ndarray\.data"):
        read_pickled_arrays(path)
    path.write_bytes(b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n}U\x08__code__K\1s\x86b.")
    with pytest.raises(LoadError):
        read_pickled_arrays(path)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_damage_is_always_one_sentence(tmp_path_factory: pytest.TempPathFactory, at: int, junk: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    whole = python_two(ROWS[:1], labels=LABELS[:1])
    at = at if at < 200 else len(whole) - (at - 199)
    path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])
    with contextlib.suppress(LoadError, UnsafeFileError):
        read_pickled_arrays(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps([1, 2], protocol=2), "a list; a dictionary was expected"),
        (pickle.dumps({"labels": LABELS}, protocol=2), "not a CIFAR batch"),
        (pickle.dumps({"data": ROWS}, protocol=2), "not a CIFAR batch"),
        (pickle.dumps({"data": ROWS[:, :9], "labels": LABELS}, protocol=2), "not a CIFAR batch"),
        (pickle.dumps({"data": ROWS / 2, "labels": LABELS}, protocol=2), "of type f8; unsigned bytes"),
        (python_two(ROWS, labels=LABELS)[:5000], "damaged"),
        (b"", "damaged"),
    ],
)
def test_files_that_are_no_batches(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(content)
    with pytest.raises(LoadError, match=words):
        load_dataset(tmp_path)


@pytest.mark.parametrize("content", [b"", bytes(3072), bytes(3073 * 2 - 1)])
def test_binary_batches_cut_short(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "data_batch_1.bin").write_bytes(content)
    with pytest.raises(LoadError, match="cut short"):
        load_dataset(tmp_path)
