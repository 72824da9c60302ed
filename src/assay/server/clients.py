"""Who asks: keys, and what each client may take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from assay.access import Serving
from assay.base.errors import LoadError
from assay.server.journal import Account
from assay.server.keys import Key, KeyFile
from assay.server.limits import AT_THE_MODEL, IN_FLIGHT, Bucket, Guesses, Limits
from assay.server.refusal import Refused

ANONYMOUS = "anonymous"
"""The one client of a service without keys."""


@dataclass
class Client:
    """One client: who pays, and what it may take at a time."""

    name: str
    account: Account
    bucket: Bucket
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_THE_MODEL))
    in_flight: int = 0

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """While a request of this client is served.

        Raises:
            Refused: if it sends too many.
        """
        if (wait := self.bucket.take()) > 0:
            raise Refused("rate", f"More than {self.bucket.rate:g} requests a second are refused.", wait)
        if self.in_flight >= IN_FLIGHT:
            raise Refused("rate", f"{IN_FLIGHT} requests of yours are being served; wait for one of them.", 1.0)
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


class Clients:
    """All clients of a service. Without a file of keys there is one, `ANONYMOUS`."""

    def __init__(self, keys: KeyFile | None, serving: Serving, limits: Limits) -> None:
        """Begin; ``serving`` gives budget and price, ``limits`` the rate, where a key does not."""
        self.keys = keys
        self._serving, self._limits = serving, limits
        self._known: dict[Key | None, Client] = {}
        self._guesses = Guesses()

    def ask(self, authorization: str | None, peer: str) -> Client:
        """The client that a request's ``Authorization`` header names.

        Raises:
            Refused: if it needs a key, or has a wrong one.
        """
        key = self._key(authorization, peer, "ask")
        if key not in self._known:
            self._known = {known: client for known, client in self._known.items() if not _replaces(key, known)}
            self._known[key] = self._made(key)
        return self._known[key]

    def check_metrics(self, authorization: str | None, peer: str) -> None:
        """Nothing, if the header's key opens the metrics (without keys: always).

        Raises:
            Refused: if not.
        """
        self._key(authorization, peer, "metrics")

    def _key(self, authorization: str | None, peer: str, scope: str) -> Key | None:
        if self.keys is None:
            return None
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused("no_key", "This service needs a key: send the header 'Authorization: Bearer KEY'.")
        try:
            key = self.keys.find(token.strip())
        except LoadError as error:
            raise Refused("storage", "The service cannot read its keys at the moment.", 10.0) from error
        if key is None or key.scope != scope:
            if (wait := self._guesses.note(peer)) > 0:
                raise Refused("guessing", "Too many wrong keys came from this address.", wait)
            raise Refused("wrong_key", "This key is not valid here: it is wrong, was revoked, or opens something else.")
        return key

    def _made(self, key: Key | None) -> Client:
        if key is None:
            budget, price, rate = self._serving.budget, self._serving.price_per_1000, self._limits.rate
            return Client(ANONYMOUS, Account(ANONYMOUS, budget, price), Bucket(rate, max(1.0, 2 * rate)))
        budget = self._serving.budget if key.budget is None else key.budget
        price = self._serving.price_per_1000 if key.price_per_1000 is None else key.price_per_1000
        rate = self._limits.rate if key.rate is None else key.rate
        return Client(key.name, Account(key.id, budget, price), Bucket(rate, max(1.0, 2 * rate)))


def _replaces(key: Key | None, known: Key | None) -> bool:
    return key is not None and known is not None and key.id == known.id
