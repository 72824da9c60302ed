"""Digests: canonical JSON, files and arrays, always SHA-256 in lower-case hexadecimal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

COPIED = 1 << 20
"""Bytes of a strided array that are brought into order at a time."""

MAPPED = 1 << 26
"""Bytes of a memory-mapped array that are looked at before their pages are let go of."""


def canonical_json(value: Any) -> str:
    """The canonical JSON text of a value: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: if the value holds NaN or infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_arrays(**arrays: NDArray[Any]) -> str:
    """SHA-256 over named arrays: name, dtype, shape and bytes of each, in name order."""
    import numpy as np

    h = hashlib.sha256()
    for name in sorted(arrays):
        a = np.atleast_1d(arrays[name])
        h.update(canonical_json([name, a.dtype.str, list(a.shape)]).encode())
        for part in _contiguous_parts(a):
            h.update(part.data.cast("B"))
    return h.hexdigest()


def blocks(array: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    """An array's rows in order, about ``size`` bytes at a time; memory that a mapped array took is given back."""
    step = max(1, size * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), step):
        yield array[start : start + step]
        give_back(array)


def give_back(array: NDArray[Any]) -> None:
    """Let go of the memory that pages of a memory-mapped array take; they are read again when they are needed."""
    import mmap

    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _contiguous_parts(a: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array's bytes in C order, without a copy of the whole where it is a view with other strides."""
    import numpy as np

    if a.size:
        yield from map(np.ascontiguousarray, blocks(a, MAPPED if a.flags.c_contiguous else COPIED))
