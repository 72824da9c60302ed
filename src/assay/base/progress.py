"""Progress of long work: a bar on a terminal, plain lines elsewhere, nothing in tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from assay.base.printable import printable


class Step(Protocol):
    """One piece of work in progress."""

    def advance(self, amount: float = 1.0) -> None:
        """Add ``amount`` to the work done, in the units of the step's total."""
        ...


class Progress(Protocol):
    """A receiver of progress reports."""

    def step(self, label: str, total: float) -> AbstractContextManager[Step]:
        """A context manager around one piece of work; ``total`` is its size in any unit."""
        ...

    def say(self, text: str) -> None:
        """Print one line."""
        ...


class _Nothing:
    def advance(self, amount: float = 1.0) -> None:
        """Discard."""


class _Silent:
    @contextmanager
    def step(self, label: str, total: float) -> Iterator[Step]:
        """A step whose reports are discarded."""
        yield _Nothing()

    def say(self, text: str) -> None:
        """Discard."""


class _PlainStep:
    def __init__(self, owner: _Plain, label: str, total: float) -> None:
        self.owner, self.label, self.total = owner, label, max(total, 1e-9)
        self.done = 0.0
        self.start = self.last = time.monotonic()

    def advance(self, amount: float = 1.0) -> None:
        """Print percentage and estimated time, at most once in ``every`` seconds."""
        self.done += amount
        now = time.monotonic()
        if now - self.last >= self.owner.every and self.done < self.total:
            self.last = now
            left = (now - self.start) * (self.total - self.done) / max(self.done, 1e-9)
            self.owner.say(f"{self.label}: {100 * self.done / self.total:.0f} %, about {left:.0f} s left")


class _Plain:
    every = 10.0

    @contextmanager
    def step(self, label: str, total: float) -> Iterator[Step]:
        """A step that prints plain lines."""
        yield _PlainStep(self, label, total)

    def say(self, text: str) -> None:
        """Print a line on standard error."""
        print(printable(text), file=sys.stderr, flush=True)


class _Bars:
    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars: RichProgress | None = None
        self._depth = 0

    @contextmanager
    def step(self, label: str, total: float) -> Iterator[Step]:
        """A step with a bar of its own; nested steps share one display."""
        if self._bars is None:
            self._bars = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._bars.start()
        bars = self._bars
        self._depth += 1
        task = bars.add_task(label, total=total)
        try:
            yield _Bar(bars, task)
        finally:
            bars.remove_task(task)
            self._depth -= 1
            if self._depth == 0:
                bars.stop()
                self._bars = None

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self.console.print(printable(text), highlight=False)


class _Bar:
    def __init__(self, bars: RichProgress, task: object) -> None:
        self.bars, self.task = bars, task

    def advance(self, amount: float = 1.0) -> None:
        """Move the bar."""
        self.bars.advance(self.task, amount)  # type: ignore[arg-type]


def silent() -> Progress:
    """A receiver that discards every report."""
    return _Silent()


def on_console() -> Progress:
    """Bars on a terminal, plain lines (at most one in ten seconds) elsewhere; both on standard error."""
    console = Console(stderr=True)
    return _Bars(console) if console.is_terminal else _Plain()
