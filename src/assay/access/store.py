"""Answers once computed, kept on disk: logits by the content of the image they answer."""

from __future__ import annotations

import fcntl
import hashlib
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.errors import WorkspaceError

KEY_BYTES = 16
Keys = NDArray[np.void]


def image_keys(images: torch.Tensor) -> Keys:
    """BLAKE2b-128 of each image's float32 pixels, as a void array (n,) of 16 bytes each."""
    rows = images.contiguous().numpy().view(np.uint8).reshape(len(images), -1)
    keys = b"".join(hashlib.blake2b(row.data, digest_size=KEY_BYTES).digest() for row in rows)
    return np.frombuffer(keys, dtype=f"V{KEY_BYTES}")


class PosteriorStore:
    """The logits of one target, float32, memory-mapped, shared by every method, process and later run.

    One append-only file of fixed-size records (image key, logits, CRC-32). A batch is one append under a file lock,
    so that a crash loses at most the batch in flight; a torn or damaged tail is cut off when the file is opened.
    """

    def __init__(self, path: Path, num_classes: int) -> None:
        """Open or create the store.

        Raises:
            WorkspaceError: if the folder cannot be written.
        """
        self.path = path
        self.num_classes = num_classes
        self._type = np.dtype([("key", f"V{KEY_BYTES}"), ("logits", "<f4", (num_classes,)), ("crc", "<u4")])
        self._rows: dict[bytes, int] = {}
        self._records: NDArray[Any] = np.empty(0, self._type)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._cut_damaged_tail(file.fileno())
        except OSError as error:
            raise WorkspaceError(f"The posterior store {path} cannot be written: {error.strerror}.") from error
        self._refresh()

    def __len__(self) -> int:
        return len(self._rows)

    def _cut_damaged_tail(self, descriptor: int) -> None:
        size = self._type.itemsize
        whole = os.fstat(descriptor).st_size // size
        records = np.memmap(self.path, self._type, "r", shape=(whole,)) if whole else ()
        while whole and not _sound(records[whole - 1]):
            whole -= 1
        os.ftruncate(descriptor, whole * size)

    def _refresh(self) -> None:
        """Map what is on disk now, other processes' records included."""
        whole = self.path.stat().st_size // self._type.itemsize
        if whole == len(self._records):
            return
        known = len(self._records)
        self._records = np.memmap(self.path, self._type, "r", shape=(whole,))
        for row, key in enumerate(self._records["key"][known:], start=known):
            self._rows.setdefault(key.tobytes(), row)

    def missing(self, keys: Keys) -> NDArray[np.int64]:
        """Positions, first occurrences only, of keys that the store does not hold."""
        self._refresh()
        fresh: dict[bytes, int] = {}
        for position, key in enumerate(keys):
            name = key.tobytes()
            if name not in self._rows:
                fresh.setdefault(name, position)
        return np.fromiter(fresh.values(), np.int64, len(fresh))

    def get(self, keys: Keys) -> NDArray[np.float32]:
        """Logits float32 (n, classes) of keys that are all held.

        Raises:
            KeyError: if one is missing.
        """
        rows = np.fromiter((self._rows[key.tobytes()] for key in keys), np.int64, len(keys))
        logits: NDArray[np.float32] = np.array(self._records["logits"][rows], np.float32)
        return logits.reshape(len(keys), self.num_classes)

    def put(self, keys: Keys, logits: NDArray[np.float32]) -> None:
        """Append answers, float32 (n, classes).

        Raises:
            WorkspaceError: if the disk is full or the file cannot be written; nothing half-written stays.
        """
        records = np.empty(len(keys), self._type)
        records["key"], records["logits"] = keys, logits
        records["crc"] = [_checksum(record) for record in records]
        try:
            with self.path.open("ab", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                before = os.fstat(file.fileno()).st_size
                data = records.tobytes()
                try:
                    if file.write(data) != len(data):
                        raise OSError(28, "No space left on device")
                except OSError:
                    os.ftruncate(file.fileno(), before)
                    raise
        except OSError as error:
            raise WorkspaceError(
                f"Answers could not be saved to {self.path}: {error.strerror}. Those saved before are kept."
            ) from error
        self._refresh()


def _checksum(record: Any) -> int:
    return zlib.crc32(record["logits"].tobytes(), zlib.crc32(record["key"].tobytes()))


def _sound(record: Any) -> bool:
    return bool(record["crc"] == _checksum(record))
