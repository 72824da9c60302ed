"""CIFAR-10 and CIFAR-100 as their author publishes them: binary batches or Python batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import LoadError
from assay.data.formats.pickles import read_pickled_arrays
from assay.data.formats.registry import Dataset, Reading, file_format
from assay.data.images import ArrayImages

PIXELS = 3 * 32 * 32

Batch = tuple[NDArray[np.uint8], Any]
"""Pixels (n, 3072), planes of red, green and blue; labels (n,)."""


def _binary(label_bytes: int) -> Callable[[Path], Batch]:
    def read(file: Path) -> Batch:
        content = np.frombuffer(file.read_bytes(), np.uint8)
        record = label_bytes + PIXELS
        if content.size == 0 or content.size % record:
            raise LoadError(
                f"{file} is cut short: {content.size} bytes are not a whole number of {record}-byte images."
            )
        rows = content.reshape(-1, record)
        return rows[:, label_bytes:], rows[:, label_bytes - 1]

    return read


def _pickled(labels: str) -> Callable[[Path], Batch]:
    def read(file: Path) -> Batch:
        content = read_pickled_arrays(file)
        pixels = content.get("data")
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != PIXELS or labels not in content:
            raise LoadError(f"{file} is not a CIFAR batch: 'data' (n, {PIXELS}) and {labels!r} were expected.")
        return pixels, content[labels]

    return read


class Layout(NamedTuple):
    """How one publication is laid out: file patterns, and where class names are (for pickles, under which key)."""

    train: str
    test: str
    read: Callable[[Path], Batch]
    names: str
    names_key: str | None


LAYOUTS = (
    Layout("data_batch_*.bin", "test_batch.bin", _binary(1), "batches.meta.txt", None),
    Layout("train.bin", "test.bin", _binary(2), "fine_label_names.txt", None),
    Layout("data_batch_[0-9]", "test_batch", _pickled("labels"), "batches.meta", "label_names"),
    Layout("train", "test", _pickled("fine_labels"), "meta", "fine_label_names"),
)
"""CIFAR-10 binary, CIFAR-100 binary (coarse label, then fine), CIFAR-10 pickled, CIFAR-100 pickled."""


def _layout(path: Path) -> Layout | None:
    for layout in LAYOUTS:
        if any(file.is_file() for pattern in layout[:2] for file in path.glob(pattern)):
            return layout
    return None


def _is_cifar_folder(path: Path) -> bool:
    return path.is_dir() and _layout(path) is not None


@file_format("cifar", _is_cifar_folder, "a folder of CIFAR batches (data_batch_1.bin, ...)")
def load_cifar(path: Path, reading: Reading) -> Dataset:
    """CIFAR-10, or CIFAR-100 with its 100 fine labels.

    Raises:
        LoadError: if a file is damaged.
        UnsafeFileError: if a Python batch names anything else than arrays.
    """
    layout = _layout(path)
    assert layout is not None, "called for folders that were recognised"
    train, test = (
        _part(sorted(path.glob(pattern)), layout.read, f"{path.name} {part}")
        for pattern, part in ((layout.train, "train"), (layout.test, "test"))
    )
    return Dataset(path.name, train, test, _class_names(path / layout.names, layout.names_key))


def _part(files: list[Path], read: Callable[[Path], Batch], name: str) -> ArrayImages | None:
    if not files:
        return None
    batches = [read(file) for file in files]
    pixels = np.concatenate([pixels for pixels, _ in batches]).reshape(-1, 3, 32, 32)
    return ArrayImages(pixels, np.concatenate([np.asarray(labels) for _, labels in batches]), name)


def _class_names(file: Path, key: str | None) -> tuple[str, ...]:
    if not file.is_file():
        return ()
    if key is None:
        return tuple(file.read_text("utf-8", errors="replace").split())
    return tuple(map(str, read_pickled_arrays(file).get(key, ())))
