"""A trial opening in a child process, with limits of memory and time: a file that ends it ends nothing else.

Libraries that parse model files are large, written in C++, and were made for files that their users trust. A file can
take all memory, never come to an end, or crash the process. So whatever is to be opened is opened by a child first, a
fork of this process, and only what the child could open is opened here.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import NamedTuple, NoReturn

from assay.base import errors
from assay.base.errors import AssayError, LoadError, UsageError

GIB = 1 << 30
MEMORY, PER_BYTE = 1.5, 8.0
"""What the opening may take beyond what the process has: so many GiB, and so many bytes for each byte of the file."""

SECONDS, PER_GIB = 12.0, 40.0
"""What it may take: so many seconds on a core, and more for each GiB of the file."""

PATIENCE = 6.0
"""How many times its seconds on a core an opening may take on a busy machine."""

_MEMORY, _SECONDS = "ASSAY_OPEN_GB", "ASSAY_OPEN_SECONDS"
_PARENT_DIES = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
_LARGEST = 1 << 16

_opened: set[Hashable] = set()
_inside = False


class Limits(NamedTuple):
    """What an opening may take: bytes beyond what the process has, seconds on a core, and seconds by the clock."""

    memory: int
    seconds: float
    patience: float


def limits_for(size: int) -> Limits:
    """The limits for files of so many bytes; ``ASSAY_OPEN_GB`` and ``ASSAY_OPEN_SECONDS`` replace them.

    Raises:
        UsageError: if one of the variables is no positive number.
    """
    memory = _number(_MEMORY) or MEMORY + PER_BYTE * size / GIB
    seconds = _number(_SECONDS) or SECONDS + PER_GIB * size / GIB
    return Limits(int(memory * GIB), seconds, PATIENCE * seconds)


def try_first(work: Callable[[], object], path: Path, *more: Hashable, size: int | None = None) -> None:
    """Open a file in a child process, and return if that went well; what ``work`` returns is dropped.

    A file that was opened before, and has not changed since, is not tried again with the same ``more``. ``size`` are
    the bytes of all that is read, if it is more than the file. Only Linux has the limits; elsewhere nothing is tried.

    Raises:
        AssayError: what ``work`` raises.
        LoadError: if it raises something else, takes more memory or time than `limits_for` allows, or crashes.
    """
    if _inside or sys.platform != "linux":
        return
    try:
        found = path.stat()
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}.") from error
    key = (str(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, *more)
    if key in _opened:
        return
    limits = limits_for(found.st_size if size is None else size)
    reader, writer = os.pipe()
    try:
        child = _fork()
    except OSError as error:
        os.close(reader)
        os.close(writer)
        raise LoadError(f"{path.name} was not opened: no process can be started for it ({error.strerror}).") from error
    if child == 0:
        _work(work, writer, limits)
    os.close(writer)
    said, status = _wait(child, reader, limits.patience)
    _judge(path.name, said, status, limits)
    _opened.add(key)


def _fork() -> int:
    """A child; 0 in the child. It runs this thread alone, so that no library of it may use threads that were there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, where the process has threads
        return os.fork()


def _work(work: Callable[[], object], writer: int, limits: Limits) -> NoReturn:
    """What the child does. It must not return, nor run anything that the parent has registered for its end."""
    global _inside
    said = {}
    try:
        _inside = True
        _limit(limits)
        work()
    except AssayError as error:
        said = {"error": type(error).__name__, "message": str(error)}
    except MemoryError:
        said = {"error": "memory", "message": ""}
    except BaseException as error:
        first = (str(error).strip() or "no reason given").splitlines()[0].rstrip(". ")
        said = {"error": "other", "message": f"{type(error).__name__}: {first}"}
    finally:
        try:
            text = json.dumps({"error": said["error"], "message": said["message"][: _LARGEST // 8]} if said else {})
            os.write(writer, text.encode())
        finally:
            os._exit(0)


def _limit(limits: Limits) -> None:
    import ctypes
    import faulthandler
    import resource

    faulthandler.disable()  # a crash is told by whoever waits
    ctypes.CDLL(None).prctl(_PARENT_DIES, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    for which, soft in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + limits.memory),
        (resource.RLIMIT_CPU, max(1, round(limits.seconds))),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        resource.setrlimit(which, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


def _wait(child: int, reader: int, patience: float) -> tuple[bytes, int | None]:
    """What the child wrote, and how it ended; None if it was still at it when patience ended."""
    until, said = time.monotonic() + patience, b""
    try:
        while (left := until - time.monotonic()) > 0:
            if not select.select([reader], [], [], left)[0]:
                break
            if not (part := os.read(reader, _LARGEST)):
                return said, os.waitpid(child, 0)[1]
            said += part
    except BaseException:
        _end(child)
        raise
    finally:
        os.close(reader)
    _end(child)
    return said, None


def _end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _judge(name: str, said: bytes, status: int | None, limits: Limits) -> None:
    slow = (
        f"{name} takes more than {limits.seconds:.0f} s to open, far more than a file of its size needs, and was not "
        f"opened; if you trust it, set {_SECONDS} higher."
    )
    large = (
        f"{name} takes more than {limits.memory / GIB:.1f} GiB of memory to open, far more than a file of its size "
        f"needs, and was not opened; if you trust it, set {_MEMORY} higher."
    )
    if status is None:
        raise LoadError(slow)
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if killed == signal.SIGXCPU:
        raise LoadError(slow)
    if killed == signal.SIGKILL:
        raise LoadError(large)
    if killed or not said:
        how = signal.Signals(killed).name if killed else f"exit code {os.WEXITSTATUS(status)}"
        raise LoadError(
            f"{name} crashes the library that reads it ({how}), and was not opened: it is damaged, or made to do so."
        )
    answer = json.loads(said)
    if not answer:
        return
    if answer["error"] == "memory":
        raise LoadError(large)
    if answer["error"] == "other":
        raise LoadError(f"{name} cannot be opened ({answer['message']}): it is damaged, or made to fail.")
    kind = getattr(errors, answer["error"], AssayError)
    raise kind(answer["message"])


def _number(variable: str) -> float | None:
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise UsageError(f"{variable} must be a number above 0, not {text!r}.")
    return number
