"""How much one client, one peer and one request may take of a service."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import Field

from assay.base.frozen import Frozen
from assay.server.refusal import Refused

MEBIBYTE = 1 << 20

JSON_BYTES = 16 * MEBIBYTE
"""The JSON part of a request: it is parsed in one go, and nobody else is served meanwhile."""

IN_FLIGHT = 8
"""Requests of one client at a time, those that wait included."""

AT_THE_MODEL = 2
"""Requests of one client that wait for the model or use it: clients take turns."""

BODIES = 16
"""Bodies of the largest size that are held in memory at a time, those of all clients together."""

BODIES_OF_A_CLIENT = 4

BODY_SECONDS = 60.0
"""In which a request's body must have arrived."""

LINGER_SECONDS = 2.0
"""For which, at most, the rest of a refused request's body is thrown away before the connection is closed."""

LINGER_BYTES = 16 * MEBIBYTE
"""Of which so many at most."""

TURN_SECONDS = 60.0
"""After which a request that still waits for its turn is sent away."""

HEADER_SECONDS = 10.0
"""In which a connection must have sent a request's headers."""

CONNECTIONS = 512
"""At a time."""

CONNECTIONS_OF_A_PEER = 128
"""At a time, of one network address."""

WRONG_KEYS = 10.0
"""Wrong keys that one peer may try at once; it regains one every `WRONG_KEY_SECONDS`."""

WRONG_KEY_SECONDS = 6.0

PEERS = 10_000
"""Network addresses that are remembered for wrong keys, the latest so many."""


class Limits(Frozen):
    """What an owner may set.

    ``batch`` images and ``body`` bytes in a request; ``pixels`` of the pictures uploaded in
    one; ``rate`` requests a second of
    one client, unless its key says otherwise (twice as many at once).
    """

    batch: int = Field(default=256, ge=1)
    body: int = Field(default=32 * MEBIBYTE, ge=1024)
    pixels: int = Field(default=25_000_000, ge=1)
    rate: float = Field(default=100.0, gt=0.0)


class Bucket:
    """A token bucket: it holds ``capacity`` tokens and regains ``rate`` a second."""

    def __init__(self, rate: float, capacity: float, now: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.capacity = rate, capacity
        self._now = now
        self._tokens, self._at = capacity, now()

    def take(self) -> float:
        """Take a token. Returns 0, or the seconds until there is one: then none was taken."""
        now = self._now()
        self._tokens = min(self.capacity, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / self.rate
        self._tokens -= 1.0
        return 0.0


class Guesses:
    """Wrong keys, by peer."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._peers: OrderedDict[str, Bucket] = OrderedDict()

    def note(self, peer: str) -> float:
        """One more wrong key of a peer. Returns 0, or the seconds until it may try another."""
        bucket = self._peers.pop(peer, None) or Bucket(1.0 / WRONG_KEY_SECONDS, WRONG_KEYS, self._now)
        self._peers[peer] = bucket
        if len(self._peers) > PEERS:
            self._peers.popitem(last=False)
        return bucket.take()


class Gauge:
    """Bytes of requests that are held in memory at a time, of one client or, ``within`` another gauge, of all."""

    def __init__(self, most: int, within: Gauge | None = None) -> None:
        self.most, self.within = most, within
        self.held = 0

    def add(self, size: int) -> None:
        """Hold so many more.

        Raises:
            Refused: if there is no room; then they are not held.
        """
        if self.held + size > self.most:
            raise Refused("busy", "Too many bytes of requests are held at the moment; nothing was charged.", 1.0)
        if self.within is not None:
            self.within.add(size)
        self.held += size

    def release(self, size: int) -> None:
        """Let go of so many."""
        self.held -= size
        if self.within is not None:
            self.within.release(size)

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold so many meanwhile; see `add`."""
        self.add(size)
        try:
            yield
        finally:
            self.release(size)
