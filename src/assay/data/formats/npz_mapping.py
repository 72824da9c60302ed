"""Large arrays of a .npz archive, memory-mapped where they lie in it, so that they need not fit into memory."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAPPED = 64 << 20
"""Arrays of fewer bytes are read into memory."""

_BLOCK = 16 << 20
_LOCAL_HEADER = struct.Struct("<26xHH")


def map_array(path: Path, member: zipfile.ZipInfo) -> NDArray[Any] | None:
    """An array of an archive, memory-mapped and read-only; None if it is small or compressed.

    Its checksum is compared, for which it is read once.

    Raises:
        ValueError: if it is no array, holds objects, or is cut short.
        zipfile.BadZipFile: if its checksum is wrong.
    """
    if member.compress_type != zipfile.ZIP_STORED or member.file_size < MAPPED or member.flag_bits & 1:
        return None
    with path.open("rb") as file:
        file.seek(member.header_offset)
        header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size:
            raise ValueError(f"{member.filename} is cut short")
        start = member.header_offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(header))
        file.seek(start)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        begin = file.tell()
        _check(file, start, member)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
    if begin - start + dtype.itemsize * int(np.prod(shape, dtype=object)) != member.file_size:
        raise ValueError(f"{member.filename} does not hold as many numbers as it says")
    mapped: NDArray[Any] = np.memmap(path, dtype, "r", begin, shape, "F" if fortran else "C")
    return mapped


def _check(file: Any, start: int, member: zipfile.ZipInfo) -> None:
    """Compare the checksum of a member's bytes."""
    file.seek(start)
    found, left = 0, member.file_size
    while left:
        block = file.read(min(_BLOCK, left))
        if not block:
            raise ValueError(f"{member.filename} is cut short")
        found, left = zlib.crc32(block, found), left - len(block)
    if found != member.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {member.filename!r}")
