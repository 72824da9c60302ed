"""Files that are replaced whole: a reader sees the old content or the new, never half of one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".partial"
"""How the names of files end that are being written."""


@contextmanager
def replacing(path: Path, *, mode: int = 0o666, durable: bool = True) -> Iterator[Path]:
    """A temporary file beside ``path``, to be written in the block; at its end it is renamed to ``path``.

    If the block raises, ``path`` stays as it was and the temporary file is removed. ``mode`` are the permissions of a
    new file before the umask. With ``durable`` the content is flushed to the disk before the rename, so that a power
    failure cannot leave an empty file; leave it out for what is cheap to make again.

    Raises:
        OSError: if it cannot be written, flushed or renamed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{TEMPORARY}")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode))
        yield temporary
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a file by a text in UTF-8, its line ends as they are on Unix; see `replacing`.

    Raises:
        OSError: if it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace a file by bytes; see `replacing`.

    Raises:
        OSError: if it cannot be written.
    """
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(content)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk: a new name is lost in a power failure before that.

    Raises:
        OSError: if it cannot be flushed.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
