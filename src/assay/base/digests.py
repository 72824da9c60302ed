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


def _contiguous_parts(a: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array's bytes in C order, without a copy of the whole where it is a view with other strides."""
    import numpy as np

    if a.size == 0:
        return
    step = len(a) if a.flags.c_contiguous else max(1, COPIED * len(a) // a.nbytes)
    yield from (np.ascontiguousarray(a[start : start + step]) for start in range(0, len(a), step))
