"""Errors are for people: what was wrong, where, and what to do, in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class AssayError(Exception):
    """An error whose message is one clear sentence; the command line prints it without a traceback."""

    exit_code: ClassVar[int] = 2


class UsageError(AssayError):
    """The user asked for something that does not exist or cannot be combined."""

    exit_code: ClassVar[int] = 4


class UnsafeFileError(AssayError):
    """A model file could run code when opened, or is not what its name or digest says."""


class LoadError(AssayError):
    """A file is damaged, or does not fit what it was said to be."""


class DataError(AssayError):
    """A data set's images, labels or splits are unusable."""


class AccessError(AssayError):
    """A method needs more of a target than its access gives (a label-only oracle, say, or a missing gradient)."""


class TransientError(AssayError):
    """A service cannot answer at the moment (busy, rate limit): asking again in ``after`` seconds may help."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class BudgetError(AssayError):
    """A query would exceed the budget; nothing of it was asked."""


class WorkspaceError(AssayError):
    """The workspace cannot be read or written."""


class MethodError(AssayError):
    """A method broke its contract: its trial is recorded as failed, and the others go on."""


class EngineError(AssayError):
    """The processes or machines that a study runs on cannot be had, or are not what they should be."""


class NothingAssessedError(AssayError):
    """No method produced an outcome."""

    exit_code: ClassVar[int] = 3


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
