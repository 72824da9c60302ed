"""Files that are replaced whole: a reader sees the old content or the new, never half of one."""

from __future__ import annotations

import os
import platform
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".partial"
"""How the names of files end that are being written."""


@contextmanager
def replacing(path: Path, *, mode: int = 0o666, durable: bool = True) -> Iterator[Path]:
    """A temporary file beside ``path``, to be written in the block; at its end it is renamed to ``path``.

    If the block raises, ``path`` stays as it was and the temporary file is removed. ``mode`` are the permissions of a
    new file before the umask. With ``durable`` the content is flushed to the disk before the rename, and the rename
    after it, so that a power failure can neither leave an empty file nor take back what was done; leave it out for what
    is cheap to make again. What processes of this machine that were killed left beside ``path`` is removed.

    Raises:
        OSError: if it cannot be written, flushed or renamed.
    """
    temporary = path.with_name(f"{_start(path)}{os.getpid()}-{threading.get_ident()}{TEMPORARY}")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode))
        yield temporary
        if durable:
            sync(temporary)
        temporary.replace(path)
        if durable:
            sync(path.parent)
            sweep(path.parent, _start(path))
    finally:
        temporary.unlink(missing_ok=True)


def _start(path: Path) -> str:
    """How temporary files of this machine for ``path`` begin; the process's number follows."""
    machine = zlib.crc32(platform.node().encode())
    return f".{path.name}.{machine:08x}-"


def sweep(folder: Path, start: str = ".") -> None:
    """Remove the temporary files of a folder that processes of this machine left when they were killed."""
    own = f".{zlib.crc32(platform.node().encode()):08x}-"
    for file in list(folder.iterdir()):
        if not (file.name.startswith(start) and file.name.endswith(TEMPORARY) and own in file.name):
            continue
        number = file.name.rpartition(own)[2].partition("-")[0]
        if number.isdecimal() and not _lives(int(number)):
            file.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def sync(path: Path) -> None:
    """Flush a file to the disk, or the list of names of a folder: what is new in it is lost in a power failure before.

    Raises:
        OSError: if it cannot be flushed.
    """
    if os.name == "nt" and path.is_dir():  # Windows opens no folder, and needs no flush of one
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush all files below a folder, then all folders, and last the folder that holds it.

    Raises:
        OSError: if one cannot be flushed.
    """
    inside = sorted(folder.rglob("*"), reverse=True)
    for path in [each for each in inside if each.is_file()] + [each for each in inside if each.is_dir()]:
        sync(path)
    sync(folder)
    sync(folder.parent)


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
