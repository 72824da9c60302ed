"""The hierarchy of errors. Each message is one sentence: what was wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

LONGEST = 1000
"""Characters of a line of a message: what files hold may be quoted in it."""


class AssayError(Exception):
    """An error whose message is one clear sentence; the command line prints it without a traceback."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str = "") -> None:
        super().__init__("\n".join(map(_shortened, message.split("\n"))))


class UsageError(AssayError):
    """The user asked for something that does not exist or cannot be combined."""

    exit_code: ClassVar[int] = 4


class UnsafeFileError(AssayError):
    """A model file could run code when opened, or is not what its name or digest says."""


class LoadError(AssayError):
    """A file is damaged, or does not match its description."""


class DataError(AssayError):
    """A data set's images, labels or splits are unusable."""


class AccessError(AssayError):
    """A method needs more than its access offers, e.g. posteriors of a label-only oracle, or gradients."""


class TransientError(AssayError):
    """A service is busy or limits the rate; retry after ``after`` seconds (0: unknown)."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class BudgetError(AssayError):
    """A query would exceed the budget; none of its images was sent."""


class WorkspaceError(AssayError):
    """The workspace cannot be read or written."""


class MethodError(AssayError):
    """A method broke its contract: its trial is recorded as failed, and the others go on."""


class TimeUpError(AssayError):
    """The time that a user allowed is up: what was under way is left out, and what was finished is kept."""


class EngineError(AssayError):
    """The processes or machines that a study runs on are unavailable or misconfigured."""


class NothingAssessedError(AssayError):
    """No method produced an outcome."""

    exit_code: ClassVar[int] = 3


def _shortened(line: str) -> str:
    """A line without its middle, if it is too long: its end says what to do."""
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} [...] {line[-LONGEST // 2 :]}"


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean ...?` with the closest known names, or the whole list when it is short.

    Returns a phrase that ends a sentence, e.g. ``did you mean 'evasion.fgsm'?``.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"known: {shown}." if names else "none is known."
