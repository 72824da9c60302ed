"""Locks on open files, between processes of one machine. The operating system frees those of a process that dies."""

from __future__ import annotations

import errno
import os
import time
from types import ModuleType
from typing import IO, Any

fcntl: ModuleType | None
msvcrt: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
try:
    import msvcrt
except ImportError:
    msvcrt = None

PAUSE = 0.02
"""Seconds between two attempts, where the system cannot wait for a lock by itself."""
BYTE = 1 << 40
"""The byte that is locked on Windows: locks there keep readers out, and no file is so long."""


def lock(file: IO[Any], *, shared: bool = False) -> None:
    """Lock an open file until it is closed; waits for others.

    Many may hold a ``shared`` lock at once, and none while one holds it alone. On Windows every lock is held alone.

    Raises:
        OSError: if the file system or the platform has no locks.
    """
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        return
    while not try_lock(file, shared=shared):
        time.sleep(PAUSE)


def try_lock(file: IO[Any], *, shared: bool = False) -> bool:
    """Lock an open file unless another holds it; whether it was locked. See `lock`.

    Raises:
        OSError: if the file system or the platform has no locks.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
    if msvcrt is None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    descriptor = file.fileno()
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        os.lseek(descriptor, BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EDEADLK):
            return False
        raise
    finally:
        os.lseek(descriptor, place, os.SEEK_SET)
    return True
