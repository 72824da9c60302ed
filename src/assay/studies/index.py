"""An SQLite index over outcomes, for questions that should not read every file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from assay.studies.outcome import Outcome

_TABLES = """
CREATE TABLE IF NOT EXISTS trials (
    key TEXT PRIMARY KEY, target TEXT, target_digest TEXT, family TEXT, method TEXT, version INTEGER, seed INTEGER,
    level TEXT, seconds REAL, images INTEGER, started TEXT
);
CREATE TABLE IF NOT EXISTS metrics (
    key TEXT REFERENCES trials(key) ON DELETE CASCADE, name TEXT, value REAL, low REAL, high REAL, n INTEGER,
    PRIMARY KEY (key, name)
);
"""


class Index:
    """Finished trials and their metrics. Rebuilt from the outcomes whenever it is missing or behind."""

    def __init__(self, path: Path) -> None:
        """Open or create; a file that is not a database is replaced."""
        self.path = path
        try:
            self._open()
        except sqlite3.DatabaseError:
            path.unlink()
            self._open()

    def _open(self) -> None:
        self._database = sqlite3.connect(self.path, timeout=30.0, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA foreign_keys=ON")
        self._database.executescript(_TABLES)

    def sync(self, keys: Iterable[str], load: Callable[[str], Outcome | None]) -> None:
        """Add what is missing and drop what is gone."""
        wanted = set(keys)
        known = {key for (key,) in self._database.execute("SELECT key FROM trials")}
        with self._database:
            self._database.executemany("DELETE FROM trials WHERE key = ?", [(key,) for key in known - wanted])
        for key in wanted - known:
            if (outcome := load(key)) is not None:
                self.add(outcome)

    def add(self, outcome: Outcome) -> None:
        """Index one finished trial."""
        row = (
            outcome.key,
            outcome.target.name,
            outcome.target.digest,
            outcome.method.family,
            outcome.method.name,
            outcome.method.version,
            outcome.seed,
            outcome.verdict.level if outcome.verdict else None,
            outcome.seconds,
            outcome.spent.images,
            outcome.started.isoformat(),
        )
        metrics = [
            (outcome.key, m.name, m.value, *((m.interval.low, m.interval.high) if m.interval else (None, None)), m.n)
            for m in outcome.metrics
        ]
        with self._database:
            self._database.execute("DELETE FROM trials WHERE key = ?", (outcome.key,))
            self._database.execute(f"INSERT INTO trials VALUES ({','.join('?' * len(row))})", row)
            self._database.executemany("INSERT INTO metrics VALUES (?,?,?,?,?,?)", metrics)

    def query(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT."""
        return self._database.execute(sql, parameters).fetchall()
