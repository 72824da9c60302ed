"""Asking again when a service fails for the moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from assay.base.errors import AccessError, TransientError

Q = TypeVar("Q")
A = TypeVar("A")

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before the second attempt, the third and so on."""

PASSING = (TransientError, ConnectionError, TimeoutError)


def patiently(ask: Callable[[Q], A], question: Q) -> A:
    """``ask(question)``, asked again while the connection fails, times out or is limited in rate.

    The pauses are those of `PAUSES`, and as long as the service says (`TransientError.after`) where it says so.

    Raises:
        AccessError: if every attempt failed.
    """
    for pause in PAUSES:
        try:
            return ask(question)
        except PASSING as error:
            time.sleep(max(pause, error.after if isinstance(error, TransientError) else 0.0))
    try:
        return ask(question)
    except PASSING as error:
        raise AccessError(
            f"The target failed {len(PAUSES) + 1} times in a row ({error}); what it answered before is kept, and the "
            "next run goes on from there."
        ) from error
