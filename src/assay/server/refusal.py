"""What a service answers to a request that it does not serve."""

from __future__ import annotations

import math
from typing import Literal

Reason = Literal[
    "bad_request",
    "not_found",
    "no_key",
    "wrong_key",
    "guessing",
    "budget",
    "conflict",
    "too_large",
    "too_slow",
    "unsupported",
    "rate",
    "busy",
    "model",
    "storage",
]
"""A short word for programs; metrics count refusals by it."""

STATUS: dict[Reason, int] = {
    "bad_request": 400,
    "no_key": 401,
    "wrong_key": 401,
    "budget": 402,
    "not_found": 404,
    "too_slow": 408,
    "conflict": 409,
    "too_large": 413,
    "unsupported": 415,
    "guessing": 429,
    "rate": 429,
    "model": 500,
    "busy": 503,
    "storage": 503,
}


class Refused(Exception):
    """A request that is not served, and is not charged: one clear sentence, and seconds after which to ask again."""

    def __init__(self, reason: Reason, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = STATUS[reason]
        self.after = after

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer. The connection is closed where the body may not have been read."""
        headers = {}
        if self.after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.after)))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status in (401, 408, 413, 415, 429, 503):
            headers["Connection"] = "close"
        return headers

    def body(self) -> dict[str, str]:
        """``{"error": sentence, "reason": word}``; the protocol asks for the first."""
        return {"error": str(self), "reason": self.reason}
