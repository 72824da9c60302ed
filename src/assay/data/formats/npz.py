"""NumPy archives: x_train, y_train, x_test, y_test."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import DataError, LoadError, UnsafeFileError
from assay.data.formats.layout import channels_first
from assay.data.formats.npz_mapping import map_array
from assay.data.formats.registry import Dataset, Reading, file_format
from assay.data.images import ArrayImages


@file_format("npz", lambda path: path.suffix == ".npz", "a .npz file")
def load_npz(path: Path, reading: Reading) -> Dataset:
    """``x_train``, ``y_train``, ``x_test``, ``y_test``: images as `channels_first` takes them, labels (n,) or (n, 1).

    Images are uint8, or floats in [0, 1]. A part may be missing. Large arrays of uint8 stay on disk.

    Raises:
        LoadError: if the file is damaged.
        UnsafeFileError: if it holds pickled objects.
        DataError: if the arrays are not images and labels.
    """
    return Dataset(path.stem, _part(path, "train"), _part(path, "test"))


def _part(path: Path, part: str) -> ArrayImages | None:
    names = (f"x_{part}", f"y_{part}")
    found = read_arrays(path, names)
    images, labels = (found.get(name) for name in names)
    name = f"{path.stem} {part}"
    if images is None and labels is None:
        return None
    if images is None or labels is None:
        raise DataError(f"{path}: x_{part} and y_{part} belong together, and only one of them is there.")
    column = labels.ndim == 2 and labels.shape[1] == 1
    return ArrayImages(channels_first(images, name), labels[:, 0] if column else labels, name)


def read_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file, or those of them that are named; large ones that are not compressed stay on disk.

    Raises:
        LoadError: if the file is damaged.
        UnsafeFileError: if it holds pickled objects.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise LoadError(f"{path} is not a .npz archive, or is cut short.")
        with np.load(path, allow_pickle=False) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.zip.infolist()}
            wanted = [name for name in archive.files if names is None or name in names]
            found = {}
            for name in wanted:
                mapped = map_array(path, members[name]) if name in members else None
                found[name] = archive[name] if mapped is None else mapped
            return found
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise UnsafeFileError(
                f"{path} holds pickled objects, which could run code; only arrays are read."
            ) from None
        raise LoadError(f"{path} is damaged: {error}") from error
    except (OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise LoadError(f"{path} cannot be read: {error}") from error
