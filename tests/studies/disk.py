"""A disk that loses power: what of a folder would be there afterwards, at each step of a program that writes to it.

What POSIX promises is only this: the content of a file as it was when the file was last flushed, and the names in a
folder as they were when the folder was last flushed. Everything else may be there or not.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WRITES = os.O_WRONLY | os.O_RDWR
KINDS = ("only what was flushed", "all names, but only flushed content", "all names, half of other content", "all")


class Disk:
    """Watches ``root`` while `watched`; ``step`` is called before and after everything that may change it."""

    def __init__(self, root: Path, step: Callable[[], None]) -> None:
        self.root, self.step = root, step
        self.contents: dict[int, bytes] = {}
        self.names: dict[int, dict[str, int]] = {}
        self._busy = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count flushes, and step, while the block runs."""
        real = {name: getattr(os, name) for name in ("fsync", "replace", "unlink", "mkdir", "rmdir")}

        def fsync(descriptor: int) -> None:
            self._step()
            real["fsync"](descriptor)
            self._flushed(Path(f"/proc/self/fd/{descriptor}").readlink())
            self._step()

        def stepping(name: str) -> Callable[..., object]:
            def call(*given: object, **more: object) -> object:
                self._step()
                found = real[name](*given, **more)
                self._step()
                return found

            return call

        self._active = True
        if not hasattr(Disk, "_hooked"):
            sys.addaudithook(Disk._heard)
            Disk._hooked = True  # type: ignore[attr-defined]
        Disk.current = self
        try:
            for name in real:
                setattr(os, name, fsync if name == "fsync" else stepping(name))
            yield
        finally:
            Disk.current = None
            for name, function in real.items():
                setattr(os, name, function)

    current: Disk | None = None

    @staticmethod
    def _heard(event: str, arguments: tuple[object, ...]) -> None:
        disk = Disk.current
        if disk is not None and event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
            disk._step()

    def _step(self) -> None:
        if not self._busy:
            self._busy = True
            try:
                self.step()
            finally:
                self._busy = False

    def _flushed(self, path: Path) -> None:
        if not path.is_relative_to(self.root):
            return
        here = path.stat().st_ino
        if path.is_dir():
            self.names[here] = {each.name: each.stat().st_ino for each in path.iterdir()}
        else:
            self.contents[here] = path.read_bytes()

    def image(self, kind: str, where: Path) -> None:
        """Write what would be there after a power failure now to a folder that is not there yet."""
        Disk.current, before = None, Disk.current
        try:
            self._copy(self.root, where, kind)
        finally:
            Disk.current = before

    def _copy(self, source: Path, where: Path, kind: str) -> None:
        where.mkdir()
        known = self.names.get(source.stat().st_ino, {})
        for each in sorted(source.iterdir()):
            number = each.stat().st_ino
            if kind == KINDS[0] and known.get(each.name) != number:
                continue
            if each.is_dir():
                self._copy(each, where / each.name, kind)
                continue
            now, flushed = each.read_bytes(), self.contents.get(number)
            lost = {KINDS[0]: b"", KINDS[1]: b"", KINDS[2]: now[: len(now) // 2], KINDS[3]: now}[kind]
            (where / each.name).write_bytes(now if kind == KINDS[3] else lost if flushed is None else flushed)


def removed(folder: Path) -> None:
    """Remove an image."""
    Disk.current, before = None, Disk.current
    try:
        shutil.rmtree(folder)
    finally:
        Disk.current = before
