"""The line to a service over HTTP: one request, one reply, and what every failure means."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from assay.access.remote.address import is_loopback
from assay.access.remote.failures import DeniedError, LostError, kept
from assay.base.errors import AccessError, DataError, TransientError, UsageError

LONGEST_WAIT = 120.0
"""Seconds; a service that asks for a longer pause is asked again in another run."""

EXCERPT = 200


@dataclass(frozen=True)
class Call:
    """A request: method, path below the service's address, body, headers without credentials."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def post_json(cls, path: str, content: Any) -> Call:
        """A request with a JSON body."""
        return cls("POST", path, json.dumps(content).encode(), {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Reply:
    """A successful answer; header names in lower case."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            DataError: if it is none.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise DataError(f"The service answered with something that is not JSON: {excerpt(self.body)!r}.") from None


class Line:
    """Requests to one base address. No redirect is followed. What stays on this machine passes by no proxy."""

    def __init__(self, base: str, *, secrets: dict[str, str] | None = None, timeout: float = 60.0) -> None:
        """Open a line; ``secrets`` are headers that carry credentials, which no error message repeats."""
        self.base = base.rstrip("/")
        self._secrets = secrets or {}
        local = is_loopback(base)
        if self._secrets and base.startswith("http://") and not local:
            raise UsageError(f"{base} is not encrypted, and a key would travel in the clear: use https://.")
        self._http = httpx.Client(timeout=httpx.Timeout(timeout, connect=10.0), trust_env=not local)

    def send(self, call: Call) -> Reply:
        """The reply to a request.

        Raises:
            DeniedError: if the credentials do not open the service.
            AccessError: if the service refuses the request for good, or is not who it says (a certificate error).
            TransientError: if it was refused for the moment, or nobody listens; nothing was charged.
            LostError: if the answer got lost.
        """
        try:
            answer = self._http.request(
                call.method, self.base + call.path, content=call.body, headers={**call.headers, **self._secrets}
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if "CERTIFICATE" in str(error).upper() or "SSL" in str(error).upper():
                raise AccessError(
                    f"{self.base} cannot prove who it is ({error}); nothing was sent. SSL_CERT_FILE names another "
                    "file of trusted certificates."
                ) from error
            raise TransientError(f"{self.base} cannot be reached ({error}): does it run, at this address?") from error
        except httpx.TimeoutException as error:
            raise LostError(f"{self.base} did not answer in time") from error
        except httpx.TransportError as error:
            raise LostError(f"the connection to {self.base} broke: {error}") from error
        except httpx.InvalidURL as error:
            raise UsageError(f"{self.base}{call.path} is not an address: {error}.") from error
        if answer.status_code != 200:
            raise self._failure(answer)
        return Reply(answer.content, {name.lower(): value for name, value in answer.headers.items()})

    def _failure(self, answer: httpx.Response) -> Exception:
        said = excerpt(answer.content)
        for secret in self._secrets.values():
            said = said.replace(secret.rpartition(" ")[2], "***")
        return failure(self.base, answer.status_code, said, answer.headers.get("Retry-After"))


def failure(who: str, status: int, said: str, after: str | None = None) -> Exception:
    """What an HTTP status other than 200 means; ``after`` is the header Retry-After."""
    said = f": {said.rstrip('.')}" if said else ""
    if status in (401, 403):
        return DeniedError(kept(f"{who} refuses the credentials ({status}{said}): they are missing, wrong or revoked"))
    if status == 402:
        return DeniedError(kept(f"{who} answers no more (402{said})"))
    if status in (408, 425, 429, 503):
        wait = seconds(after)
        if wait > LONGEST_WAIT:
            return AccessError(kept(f"{who} asks for a pause of {wait:.0f} seconds ({status}{said})"))
        return TransientError(f"{who} is busy ({status}{said})", wait)
    if status >= 500:
        return LostError(f"{who} failed ({status}{said})", min(seconds(after), LONGEST_WAIT))
    if status == 413:
        return AccessError(f"{who} refuses so large a request ({status}{said}); ?batch=N asks fewer at a time.")
    if 300 <= status < 400:
        return AccessError(f"{who} points to another address ({status}), which is not followed: name that one.")
    return AccessError(f"{who} refused the request ({status}{said}).")


def seconds(after: str | None) -> float:
    """What the header Retry-After says, in seconds from now; 0 without it."""
    if not after:
        return 0.0
    try:
        return max(0.0, float(after))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def excerpt(body: bytes) -> str:
    """What a body says, in few words: the message of a JSON error, or its beginning."""
    text = body.decode("utf-8", "replace").strip()
    try:
        content = json.loads(text)
    except ValueError:
        content = text
    for _ in range(2):
        if isinstance(content, dict):
            content = next((content[key] for key in ("error", "error_message", "message") if key in content), content)
    shown = content if isinstance(content, str) else text
    return " ".join(shown.split())[:EXCERPT]
