"""Checks of files before they are read: that they are plain files, and not far larger than what they are said to be."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path
from typing import Any

from assay.base.errors import LoadError

TEXT = 4 << 20
"""Bytes of the largest description (TOML) that is read."""

UNPACKED, RATIO = 256 << 20, 200
"""What unpacks to more bytes than this, and to more than so many times its own size, is taken for a bomb: pictures and
weights shrink to a fifth at best, and whoever needs to publish zeros need not publish that many."""


def check_plain(path: Path, most: int | None = None) -> int:
    """The size of a plain file in bytes. A pipe or a device has no end, and opening one may wait for ever.

    Raises:
        LoadError: if it is something else, is not there, or has more bytes than ``most``.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a socket or a device"
        raise LoadError(f"{path} is {kind}, not a file: copy what it stands for into a file.")
    if most is not None and found.st_size > most:
        raise LoadError(
            f"{path} has {found.st_size >> 20} MiB, more than the {most >> 20} MiB that a file of its kind may have; "
            "it was not read."
        )
    return found.st_size


def check_unpacked(name: str | Path, unpacked: int, packed: int) -> None:
    """No-op for what does not grow beyond all measure when it is unpacked.

    Raises:
        LoadError: if it does.
    """
    if unpacked > UNPACKED and unpacked > RATIO * packed:
        raise LoadError(
            f"{name} would unpack to {unpacked >> 20} MiB, {unpacked // max(packed, 1)} times its own size, and was "
            "not read: save the data without compression if they are really so."
        )


def read_text(path: Path, what: str, most: int = TEXT) -> str:
    """A text in UTF-8, with or without a byte-order mark.

    Raises:
        LoadError: if it cannot be read; ``what`` says what it is (``The target file``).
    """
    try:
        check_plain(path, most)
        return path.read_text("utf-8-sig")
    except LoadError as error:
        raise LoadError(f"{what} {error}") from None
    except OSError as error:
        raise LoadError(f"{what} {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise LoadError(f"{what} {path} is not a text in UTF-8: byte {error.start} is no part of one.") from error


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """A TOML text as a table; ``where`` says whose it is (``The target file a.toml``).

    Raises:
        LoadError: if it is not TOML, or is nested too deep.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LoadError(f"{where} is not TOML: {error}.") from error
    except RecursionError:
        raise LoadError(f"{where} is nested too deep to be read: no key of it needs more than a few levels.") from None
    except ValueError as error:  # a number with more digits than Python reads
        raise LoadError(f"{where} is not TOML: {str(error).partition(';')[0]}.") from error


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """A TOML file as a table.

    Raises:
        LoadError: if it cannot be read or is not TOML; ``what`` says what it is (``The target file``).
    """
    return parse_toml(read_text(path, what), f"{what} {path}")
