"""NumPy archives: x_train, y_train, x_test, y_test."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import DataError, LoadError, UnsafeFileError
from assay.base.reading import check_plain, check_unpacked
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
        check_plain(path)
        if not zipfile.is_zipfile(path):
            raise LoadError(f"{path} is not a .npz archive, or is cut short.")
        with np.load(path, allow_pickle=False) as archive:
            wanted = [name for name in archive.files if names is None or name in names]
            members = {info.filename.removesuffix(".npy"): info for info in archive.zip.infolist()}
            found = {}
            for name in wanted:
                if name in members:
                    _check_size(path, archive.zip, members[name])
                mapped = map_array(path, members[name]) if name in members else None
                found[name] = _array(path, archive, name) if mapped is None else mapped
            return found
    except (LoadError, UnsafeFileError):
        raise
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # a hostile or damaged archive may fail in any way
        if "allow_pickle" in str(error):
            raise UnsafeFileError(
                f"{path} holds pickled objects, which could run code; only arrays are read."
            ) from None
        raise LoadError(f"{path} is damaged: {error or type(error).__name__}") from error


def _array(path: Path, archive: Any, name: str) -> NDArray[Any]:
    found = archive[name]
    if not isinstance(found, np.ndarray):  # what numpy hands out of a member without its magic number
        raise LoadError(f"{path} is damaged: {name} is no array.")
    return found


def _check_size(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    """Hold what an array's header promises against what the archive holds, before numpy makes room for it."""
    name = info.filename.removesuffix(".npy")
    check_unpacked(f"{path} ({name})", info.file_size, info.compress_size)
    with archive.open(info) as member:
        if member.read(6) != b"\x93NUMPY":
            return
        major = member.read(2)[:1]
        read = np.lib.format.read_array_header_1_0 if major == b"\1" else np.lib.format.read_array_header_2_0
        shape, _, kind = read(member)
    if not kind.hasobject and math.prod(shape) * kind.itemsize > info.file_size:
        raise LoadError(f"{path} is damaged: {name} says that it is {kind} {shape}, and holds {info.file_size} bytes.")
