"""Who asks: keys, and what each client may take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from assay.access import Serving
from assay.base.errors import LoadError
from assay.server.journal import Account
from assay.server.keys import Key, KeyFile, Scope
from assay.server.limits import AT_THE_MODEL, BODIES, BODIES_OF_A_CLIENT, IN_FLIGHT, Bucket, Gauge, Guesses, Limits
from assay.server.refusal import Refused

ANONYMOUS = "anonymous"
"""The one client of a service without keys."""


class Client:
    """One client: who pays, and what it may take at a time. ``key`` is None for `ANONYMOUS`."""

    def __init__(self, key: Key | None, account: Account, rate: float, memory: Gauge) -> None:
        self.key, self.account, self.memory = key, account, memory
        self.name = ANONYMOUS if key is None else key.name
        self.turn = asyncio.Semaphore(AT_THE_MODEL)
        self._bucket = Bucket(rate, max(1.0, 2 * rate))
        self._in_flight = 0

    def knock(self) -> None:
        """One more request.

        Raises:
            Refused: if they come too fast.
        """
        if (wait := self._bucket.take()) > 0:
            raise Refused("rate", f"More than {self._bucket.rate:g} requests a second are refused.", wait)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """While a request with images is served.

        Raises:
            Refused: if too many are.
        """
        if self._in_flight >= IN_FLIGHT:
            raise Refused("rate", f"{IN_FLIGHT} requests of yours are being served; wait for one of them.", 1.0)
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1


class Clients:
    """All clients of a service. As long as there is no file of keys there is one, `ANONYMOUS`."""

    def __init__(self, keys: KeyFile | None, serving: Serving, limits: Limits) -> None:
        """Begin; ``serving`` gives budget and price, ``limits`` the rate, where a key does not."""
        self._keys, self._serving, self._limits = keys, serving, limits
        self._memory = Gauge(BODIES * limits.body)
        self._guarded = False
        self._known: dict[str, Client] = {}
        self._guesses = Guesses()

    def ask(self, authorization: str | None, peer: str) -> Client:
        """The client that a request's ``Authorization`` header names.

        Raises:
            Refused: if it needs a key, or has a wrong one, or asks too often.
        """
        key = self._key(authorization, peer, "ask")
        id = ANONYMOUS if key is None else key.id
        client = self._known.get(id)
        if client is None or client.key != key:
            client = self._known[id] = self._made(id, key)
        client.knock()
        return client

    def check_metrics(self, authorization: str | None, peer: str) -> None:
        """Nothing, if the header's key opens the metrics (without keys: always).

        Raises:
            Refused: if not.
        """
        self._key(authorization, peer, "metrics")

    def _key(self, authorization: str | None, peer: str, scope: Scope) -> Key | None:
        if self._keys is None or not (self._guarded or self._keys.exists()):
            return None
        self._guarded = True  # and stays so, should the file vanish
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused("no_key", "This service needs a key: send the header 'Authorization: Bearer KEY'.")
        try:
            key = self._keys.find(token.strip())
        except LoadError as error:
            raise Refused("storage", "The service cannot read its keys at the moment.", 10.0) from error
        if key is None or key.scope != scope:
            if (wait := self._guesses.note(peer)) > 0:
                raise Refused("guessing", "Too many wrong keys came from this address.", wait)
            raise Refused("wrong_key", "This key is not valid here: it is wrong, was revoked, or opens something else.")
        return key

    def _made(self, id: str, key: Key | None) -> Client:
        """A client with what its key says, and what the service says where the key does not."""
        budget, price, rate = (None, None, None) if key is None else (key.budget, key.price_per_1000, key.rate)
        account = Account(
            id,
            self._serving.budget if budget is None else budget,
            self._serving.price_per_1000 if price is None else price,
        )
        memory = Gauge(BODIES_OF_A_CLIENT * self._limits.body, self._memory)
        return Client(key, account, self._limits.rate if rate is None else rate, memory)
