"""The explorer of a workspace that grows, shown on this machine only."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any

from assay.base.errors import UsageError, WorkspaceError
from assay.reports.explorer.export import Exporter

HOST = "127.0.0.1"
SPARING = 10.0
"""How many times as long as an export takes there is a pause: the study has the better use for the processor."""


class Server(AbstractContextManager["Server"]):
    """Serves a folder's files on the loopback interface while the context is open."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Listen on a port; 0 takes a free one.

        Raises:
            UsageError: if the port is taken.
        """
        try:
            self._server = ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder)))
        except OSError as error:
            raise UsageError(f"Port {port} cannot be used ({error.strerror}); name another with --port.") from None
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """The page to open."""
        return f"http://{HOST}:{self._server.server_port}/"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(SimpleHTTPRequestHandler):
    """Files, never listings; only for a browser that asked for this machine by its name (no DNS rebinding)."""

    def send_head(self) -> Any:
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        if host not in (HOST, "localhost"):
            return self.send_error(HTTPStatus.FORBIDDEN, "Ask for 127.0.0.1")
        if self.path.partition("?")[0] == "/":
            self.path = "/index.html"
        if not Path(self.translate_path(self.path)).is_file():
            return self.send_error(HTTPStatus.NOT_FOUND)
        return super().send_head()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a page that looks for changes every few seconds would fill the terminal."""


def serve(exporter: Exporter, port: int, every: float, say: Callable[[str], None], stop: Event | None = None) -> None:
    """Show an explorer and bring it up to date every so many seconds, until interrupted or ``stop`` is set.

    A workspace that cannot be read for a moment is said, and tried again. At the end the folder is one that no longer
    looks for changes.

    Raises:
        UsageError: if the port is taken.
        WorkspaceError: if the first export is not possible.
    """
    stop = stop or Event()
    say(exporter.export(live=True).sentence)
    with Server(exporter.folder.path, port) as server:
        say(f"Explorer: {server.address} (Ctrl-C stops it; it follows the workspace)")
        try:
            took = 0.0
            while not stop.wait(max(every, SPARING * took)):
                start = time.monotonic()
                try:
                    found = exporter.export(live=True)
                except WorkspaceError as error:
                    say(str(error))
                    continue
                took = time.monotonic() - start
                if found.written:
                    say(found.sentence)
        except KeyboardInterrupt:
            pass
    exporter.export()
