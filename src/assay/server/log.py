"""Structured logs: one JSON object a line. Never a pixel, never a token."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO


class Log:
    """Lines to a stream, from any thread. ``None`` writes nowhere."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, event: str, **fields: Any) -> None:
        """One line: the time (UTC), the event, and its fields, those that are None left out."""
        if self._stream is None:
            return
        line: dict[str, Any] = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event}
        text = json.dumps(line | {name: value for name, value in fields.items() if value is not None})
        with self._lock, suppress(OSError):  # a full disk ends the log, not the service
            self._stream.write(text + "\n")
            self._stream.flush()
