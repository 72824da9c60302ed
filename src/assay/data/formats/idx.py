"""IDX files, as MNIST and its relatives are published."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import DataError, LoadError
from assay.base.reading import check_plain, check_unpacked
from assay.data.formats.registry import Dataset, Reading, file_format
from assay.data.images import ArrayImages

NAME = re.compile(r"(train|t10k|test)-(images|labels)[.-]idx[13]-ubyte(\.gz)?")
UNSIGNED_BYTE = 0x08


def _is_idx_folder(path: Path) -> bool:
    return path.is_dir() and any(NAME.fullmatch(file.name) for file in path.iterdir())


@file_format("idx", _is_idx_folder, "a folder of IDX files (train-images-idx3-ubyte.gz, ...)")
def load_idx(path: Path, reading: Reading) -> Dataset:
    """MNIST's file names, compressed or not, ``t10k`` or ``test``: grey images (n, h, w) and labels (n,), all uint8.

    Raises:
        LoadError: if a file is damaged or of another element type.
        DataError: if a part has images without labels, or labels without images.
    """
    return Dataset(path.name, _part(path, ("train",), "train"), _part(path, ("t10k", "test"), "test"))


def _part(path: Path, prefixes: tuple[str, ...], part: str) -> ArrayImages | None:
    files: dict[str, Path] = {}
    for file in sorted(path.iterdir(), reverse=True):
        match = NAME.fullmatch(file.name)
        if match and match[1] in prefixes:
            files[match[2]] = file
    if not files:
        return None
    if len(files) == 1:
        (there,) = files
        raise DataError(f"{path}: the {part} {there} are there, but not the {part} images and labels both.")
    return ArrayImages(read_idx(files["images"], 3)[:, None], read_idx(files["labels"], 1), f"{path.name} {part}")


def read_idx(path: Path, axes: int) -> NDArray[Any]:
    """The array of one file, uint8, of so many axes.

    Raises:
        LoadError: if the file is damaged, of another type, or has other axes.
    """
    size = check_plain(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if len(magic) != 4 or magic[:2] != b"\0\0":
                raise LoadError(f"{path} is not an IDX file.")
            if magic[2] != UNSIGNED_BYTE or magic[3] != axes:
                raise LoadError(f"{path} must hold unsigned bytes with {axes} axes; its type is {magic[2:].hex()}.")
            header = file.read(4 * axes)
            sizes = [int.from_bytes(header[at : at + 4], "big") for at in range(0, 4 * axes, 4)]
            check_unpacked(path, math.prod(sizes), size)
            content = file.read(math.prod(sizes) + 1)  # one more, to notice what is too long
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise LoadError(f"{path} cannot be read: {error or 'there is not enough memory'}") from error
    if len(header) != 4 * axes or len(content) != math.prod(sizes):
        raise LoadError(f"{path} is cut short or too long: {len(content)} bytes for an array of sizes {sizes}.")
    return np.frombuffer(content, np.uint8).reshape(sizes)
