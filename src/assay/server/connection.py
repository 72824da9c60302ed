"""Connections that do not wait for ever, and of which nobody has too many."""

from __future__ import annotations

import asyncio
from collections import Counter

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from assay.server.limits import CONNECTIONS_OF_A_PEER, HEADER_SECONDS

_open: Counter[str] = Counter()


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1, with a time for the headers to arrive in, and a number of connections for each peer.

    uvicorn counts time between requests only: a connection that sends half a line stays open.
    """

    _deadline: asyncio.TimerHandle | None = None
    _peer: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection; refuse it beyond the limit."""
        super().connection_made(transport)
        peer = self.client[0] if self.client else ""
        if _open[peer] >= CONNECTIONS_OF_A_PEER:
            transport.abort()
            return
        self._peer = peer
        _open[peer] += 1
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection no longer."""
        if self._peer is not None:
            _open[self._peer] -= 1
            if _open[self._peer] == 0:
                del _open[self._peer]
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass data on; the headers of a request must be complete by a deadline."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            if self._deadline is None:
                self._await_headers()
        else:
            self._stop_waiting()

    def _await_headers(self) -> None:
        self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
