"""Answers once computed, kept on disk: logits by the content of the image they answer."""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.errors import WorkspaceError
from assay.base.locks import lock

KEY_BYTES = 16
CRC_BYTES = 4
Keys = NDArray[np.void]


def image_keys(images: torch.Tensor) -> Keys:
    """BLAKE2b-128 of each image (n, channels, height, width), as a void array (n,) of 16 bytes each."""
    keys = b"".join(
        hashlib.blake2b(image.data, digest_size=KEY_BYTES).digest() for image in images.contiguous().numpy()
    )
    return np.frombuffer(keys, dtype=f"V{KEY_BYTES}")


class PosteriorStore:
    """The logits of one target, float32, memory-mapped, shared by every method, process and later run.

    One append-only file of fixed-size records (image key, logits, CRC-32). A batch is one append under a file lock,
    so that a crash loses at most the batch in flight. A batch is there as a whole or not at all: where it begins and
    ends is noted in ``NAME.batch`` before it is written, and what a killed process left of one is cut off by the next
    append. Records whose checksum is wrong are as good as absent.

    Which other images were in the batch may change the last bits of an image's logits. Whoever asks first settles
    them, so that two methods in one workspace see the same answers. Methods that run in the same order, in one process
    after another, settle them alike, wherever a process was killed: the batches of the killed one are whole, and the
    next asks for the rest in the same batches. Run in another order, they may differ in the seventh digit.
    """

    def __init__(self, path: Path, num_classes: int) -> None:
        """Open or create the store.

        Raises:
            WorkspaceError: if the folder cannot be written.
        """
        self.path = path
        self._batch = path.with_name(f"{path.name}.batch")
        self.num_classes = num_classes
        self._type = np.dtype([("key", f"V{KEY_BYTES}"), ("logits", "<f4", (num_classes,)), ("crc", "<u4")])
        self._rows: dict[bytes, int] = {}
        self._records: NDArray[Any] = np.empty(0, self._type)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("ab").close()
        except OSError as error:
            raise WorkspaceError(f"The posterior store {path} cannot be written: {error.strerror}.") from error
        self._refresh()

    def __len__(self) -> int:
        return len(self._rows)

    def _refresh(self) -> None:
        """Map what is on disk now, other processes' records included."""
        known, size = len(self._records), self._type.itemsize
        if self.path.stat().st_size // size == known:
            return
        with self.path.open("rb") as file:
            lock(file, shared=True)
            whole = self._whole(file.fileno()) // size
            if whole == known:
                return
            self._records = np.memmap(self.path, self._type, "r", shape=(whole,))
        fresh = memoryview(self._records[known:].tobytes())
        for row in range(known, whole):
            record = fresh[(row - known) * size : (row - known + 1) * size]
            if _checksum(record[:-CRC_BYTES]) == record[-CRC_BYTES:]:
                self._rows.setdefault(bytes(record[:KEY_BYTES]), row)

    def _whole(self, descriptor: int) -> int:
        """Where the last whole batch ends, in bytes; the file is locked."""
        end = os.fstat(descriptor).st_size
        try:
            start, planned = np.frombuffer(self._batch.read_bytes(), "<u8", 2).tolist()
        except (FileNotFoundError, ValueError):
            return end - end % self._type.itemsize
        return start if start < end < planned else end - end % self._type.itemsize

    def missing(self, keys: Keys) -> NDArray[np.int64]:
        """Positions, first occurrences only, of keys that the store does not hold."""
        self._refresh()
        fresh: dict[bytes, int] = {}
        for position, key in enumerate(keys):
            name = key.tobytes()
            if name not in self._rows:
                fresh.setdefault(name, position)
        return np.fromiter(fresh.values(), np.int64, len(fresh))

    def keys(self) -> Keys:
        """The keys of all that is held, as it came in."""
        self._refresh()
        return np.frombuffer(b"".join(self._rows), dtype=f"V{KEY_BYTES}")

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
        records = np.zeros(len(keys), self._type)
        records["key"], records["logits"] = keys, logits
        size = self._type.itemsize
        data = bytearray(records.tobytes())
        for start in range(0, len(data), size):
            end = start + size - CRC_BYTES
            data[end : start + size] = _checksum(data[start:end])
        try:
            with self.path.open("ab", buffering=0) as file:
                lock(file)
                end = self._whole(file.fileno())
                os.ftruncate(file.fileno(), end)
                self._batch.write_bytes(np.array([end, end + len(data)], "<u8").tobytes())
                try:
                    if file.write(data) != len(data):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    os.ftruncate(file.fileno(), end)
                    raise
        except OSError as error:
            raise WorkspaceError(
                f"Answers could not be saved to {self.path}: {error.strerror}. Those saved before are kept."
            ) from error
        self._refresh()


def _checksum(content: bytes | bytearray | memoryview) -> bytes:
    return zlib.crc32(content).to_bytes(CRC_BYTES, "little")
