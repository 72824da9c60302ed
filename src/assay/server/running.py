"""From a service to a process that serves it until it is told to stop."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from assay.base.errors import AccessError, UsageError
from assay.server.app import build_app
from assay.server.connection import Connection
from assay.server.limits import CONNECTIONS
from assay.server.log import Log
from assay.server.service import Service

BACKLOG = 128
"""Connections that the system accepts before the service does."""

GRACE_SECONDS = 30
"""That requests in flight get when the service is told to stop."""


def bind(host: str, port: int, exposed: bool) -> socket.socket:
    """A socket bound to a numeric address or ``localhost``; port 0 takes a free one.

    Raises:
        UsageError: if others than this machine could reach it, and it was not said that they may.
        AccessError: if the address cannot be had.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise UsageError(f"{host!r} is no numeric address, such as 127.0.0.1 or 0.0.0.0.") from None
    if not address.is_loopback and not exposed:
        raise UsageError(f"Other machines can reach {host}: say --expose if they may.")
    if not 0 <= port < 1 << 16:
        raise UsageError(f"{port} is no port: they are 0 to 65535.")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
    except OSError as error:
        listener.close()
        raise AccessError(f"{host}:{port} cannot be had: {error.strerror}.") from error
    return listener


def configured(service: Service) -> uvicorn.Config:
    """How uvicorn is to serve a service."""
    return uvicorn.Config(
        build_app(service),
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def run(service: Service, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, finish the requests in flight, and close the books.

    ``ready`` is told the address, ``http://127.0.0.1:8000``, when connections are accepted.
    """
    host, port = listener.getsockname()[:2]
    quiet = logging.getLogger("uvicorn.error")
    quiet.propagate, quiet.handlers = False, [_Forward(service.log)]
    quiet.setLevel(logging.WARNING)
    before = {number: signal.signal(number, _told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        listener.listen(BACKLOG)
        ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        uvicorn.Server(configured(service)).run(sockets=[listener])
    finally:
        service.close()
        for number, handler in before.items():
            signal.signal(number, handler)


class _Forward(logging.Handler):
    """What uvicorn itself has to say, as lines of the service's log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.write("server", level=record.levelname.lower(), message=record.getMessage())


def _told(number: int, frame: FrameType | None) -> None:
    """Uvicorn raises the signal that stopped it once more; it has done what it should."""
