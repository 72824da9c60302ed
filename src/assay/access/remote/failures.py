"""How a request to a service can fail, by what is known of its cost.

A plain `TransientError` was refused for the moment and a plain `AccessError` for good: neither was charged.
"""

from __future__ import annotations

from assay.base.errors import AccessError, TransientError


class LostError(TransientError):
    """The request may have been answered and charged, and the answer did not arrive."""


class DeniedError(AccessError):
    """Credentials are missing, wrong or revoked, or the service's own budget for them is spent."""


def kept(message: str) -> str:
    """A sentence about a failure, with what becomes of the answers that came before it."""
    return f"{message.rstrip('. ')}; what was answered before is kept, and the next run goes on from there."


class ChangedError(AccessError):
    """The service is not what it was when it was opened; the answer that shows it may have been charged."""

    def __init__(self, who: str, what: str) -> None:
        super().__init__(
            f"{who} is not what it was: {what} while it was being asked. What was answered before is kept; another run "
            "treats it as another model."
        )
