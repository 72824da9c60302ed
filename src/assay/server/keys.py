"""API keys: 256 random bits each, of which the service keeps a digest.

A password is guessable, and therefore kept under a slow hash (scrypt). A token of 256 random bits is not: nobody can
try a noticeable part of 2^256 tokens however fast SHA-256 is, so a plain SHA-256 protects a stolen key file as well,
and checking a key costs a service under flood next to nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assay.base.errors import LoadError, UsageError, WorkspaceError, nearest
from assay.base.files import replacing
from assay.base.frozen import Frozen
from assay.base.locks import lock

PREFIX = "assay_"
"""Begins every token, so that scanners of leaked secrets can tell what it is."""

Scope = Literal["ask", "metrics"]


class Key(Frozen):
    """A client's key, without the token.

    ``id`` names the client in ledgers and logs for ever; ``name`` is the owner's word for it. ``budget`` (images),
    ``price_per_1000`` (US dollars) and ``rate`` (requests a second) replace the service's own where they are given.
    ``scope`` is what the key opens: the model, or the metrics.
    """

    id: str
    name: str = Field(min_length=1, max_length=100)
    sha256: str = Field(repr=False)
    scope: Scope = "ask"
    budget: int | None = Field(default=None, ge=1)
    price_per_1000: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    rate: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    created: datetime
    revoked: datetime | None = None


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[Key] = []


class KeyFile:
    """The keys of a service: a JSON file that only its owner can read. Once it exists, a service asks for keys."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: list[Key] = []

    def exists(self) -> bool:
        """Whether keys were ever made, revoked ones included."""
        return self.path.exists()

    def read(self) -> list[Key]:
        """All keys, read again when the file has changed.

        Raises:
            LoadError: if the file is gone, cannot be read or is damaged.
        """
        try:
            stat = self.path.stat()
            seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if seen != self._seen:
                self._keys, self._seen = _Content.model_validate_json(self.path.read_bytes()).keys, seen
        except OSError as error:
            raise LoadError(
                f"The keys {self.path} cannot be read ({error.strerror}); assay serve keys add makes one."
            ) from error
        except ValidationError as error:
            wrong = error.errors()[0]
            raise LoadError(
                f"{self.path} is no file of keys: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}."
            ) from None
        return self._keys

    def find(self, token: str) -> Key | None:
        """The key of a token, unless it was revoked. How long this takes says nothing about any key.

        Raises:
            LoadError: see `read`.
        """
        digest, found = _digest(token), None
        for key in self.read():
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return None if found is None or found.revoked else found

    def add(
        self,
        name: str,
        *,
        scope: Scope = "ask",
        budget: int | None = None,
        price_per_1000: float | None = None,
        rate: float | None = None,
    ) -> tuple[Key, str]:
        """Make a key. Returns it with its token, which is kept nowhere.

        Raises:
            UsageError: if the name is taken by a key in force, or a value is out of range.
            WorkspaceError: if the file cannot be written.
        """
        token = PREFIX + secrets.token_urlsafe(32)
        with self._changing() as content:
            if any(key.name == name and key.revoked is None for key in content.keys):
                raise UsageError(f"There is a key {name!r} already: revoke it first, or take another name.")
            try:
                key = Key(
                    id=secrets.token_hex(8),
                    name=name,
                    sha256=_digest(token),
                    scope=scope,
                    budget=budget,
                    price_per_1000=price_per_1000,
                    rate=rate,
                    created=datetime.now(UTC),
                )
            except ValidationError as error:
                wrong = error.errors()[0]
                raise UsageError(f"The key is not valid: {wrong['loc'][0]}: {wrong['msg']}.") from None
            content.keys.append(key)
        return key, token

    def revoke(self, name: str) -> Key:
        """Take a key, by its name or id, out of force; a running service notices at once.

        Raises:
            UsageError: if there is no such key in force.
            WorkspaceError: if the file cannot be written.
        """
        with self._changing() as content:
            for place, key in enumerate(content.keys):
                if name in (key.name, key.id) and key.revoked is None:
                    revoked = key.model_copy(update={"revoked": datetime.now(UTC)})
                    content.keys[place] = revoked
                    return revoked
            known = [key.name for key in content.keys if key.revoked is None]
            raise UsageError(f"There is no key {name!r} in force: {nearest(name, known)}")

    @contextmanager
    def _changing(self) -> Iterator[_Content]:
        """The keys, to be changed and written back whole, one process at a time."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_name(self.path.name + ".lock").open("a") as waiting:
                lock(waiting)
                content = _Content(keys=list(self.read()) if self.exists() else [])
                yield content
                with replacing(self.path, mode=0o600) as written:
                    written.write_text(content.model_dump_json(indent=1, exclude_none=True))
        except OSError as error:
            raise WorkspaceError(f"The keys {self.path} cannot be written: {error.strerror}.") from error


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
