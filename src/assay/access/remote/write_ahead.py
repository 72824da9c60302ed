"""The write-ahead ledger of a service: what is asked is on the disk before it leaves, what is answered after."""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access.remote.inputs import to_bytes
from assay.access.store import KEY_BYTES, Keys
from assay.base.errors import BudgetError, WorkspaceError
from assay.base.locks import lock
from assay.data.images import to_pixels

SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, identity TEXT NOT NULL, images INTEGER NOT NULL, price REAL NOT NULL,
    at REAL NOT NULL, keys BLOB NOT NULL, pixels BLOB, type TEXT NOT NULL, shape TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS requests_state ON requests (state);
CREATE TABLE IF NOT EXISTS answers (
    identity TEXT NOT NULL, key BLOB NOT NULL, id TEXT NOT NULL, row BLOB NOT NULL, PRIMARY KEY (identity, key)
) WITHOUT ROWID;
"""

Ending = Literal["refused", "lost"]
"""Refused: not charged. Lost: nobody knows, and it counts as spent."""


class Intent(NamedTuple):
    """A request that has left, or is about to: its id, and what it asks about, float32 (n, c, h, w) in [0, 1]."""

    id: str
    identity: str
    keys: Keys
    pixels: torch.Tensor


class Totals(NamedTuple):
    """``images`` answered, pending and lost count as spent; ``price`` is theirs in US dollars."""

    images: int
    answered: int
    pending: int
    lost: int
    requests: int
    price: float


class Receipts:
    """An SQLite database for one address, synchronised to the disk on every commit, for threads and processes.

    A request is ``pending`` from before it leaves until it is ``answered``, ``refused`` or ``lost``. It is pending with
    all it takes to send it again under its id. ``identity`` says which state of the service answered: answers of
    another one are not given out, but they stay in the sum.
    """

    def __init__(self, path: Path) -> None:
        """Open or create it.

        Raises:
            WorkspaceError: if it cannot be written.
        """
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=60.0, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise WorkspaceError(f"The ledger {path} cannot be opened: {error}.") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other users of this ledger waiting: what is pending now is nobody's."""
        try:
            with self.path.with_suffix(".lock").open("w") as file:
                lock(file)
                yield
        except OSError as error:
            raise WorkspaceError(f"The ledger {self.path} cannot be used: {error.strerror}.") from error

    def intend(self, identity: str, keys: Keys, pixels: torch.Tensor, price: float, budget: int | None) -> Intent:
        """Write down what is about to be asked, under a new id; on return it is on the disk.

        Raises:
            BudgetError: if the sum would exceed the budget; nothing is written down.
        """
        small = to_bytes(pixels)
        exact = torch.equal(to_pixels(torch.from_numpy(small)), pixels)
        content = small if exact else pixels.numpy()
        intent = Intent(uuid.uuid4().hex, identity, keys, pixels)
        shape = "x".join(map(str, pixels.shape))
        row = (intent.id, "pending", identity, len(keys), price * len(keys) / 1000, time.time())
        with self._transaction() as database:
            self._check(len(keys), budget)
            database.execute(
                "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, keys.tobytes(), content.tobytes(), content.dtype.str, shape),
            )
        return intent

    def check(self, images: int, budget: int | None) -> None:
        """Nothing, if the budget has room for so many more.

        Raises:
            BudgetError: if it has not.
        """
        with self._transaction():
            self._check(images, budget)

    def _check(self, images: int, budget: int | None) -> None:
        spent = self._spent()
        if budget is not None and spent + images > budget:
            raise BudgetError(
                f"The budget is {budget} images, {spent} are spent; {images} more are refused. What was answered is "
                "kept: with a larger --budget the next run goes on from there."
            )

    def _spent(self) -> int:
        query = "SELECT COALESCE(SUM(images), 0) FROM requests WHERE state != 'refused'"
        return int(self._database.execute(query).fetchone()[0])

    def answer(self, intent: Intent, rows: NDArray[np.float32]) -> None:
        """Write down an answer, float32 (n, classes)."""
        kept = np.ascontiguousarray(rows, "<f4")
        with self._transaction() as database:
            database.executemany(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)",
                [
                    (intent.identity, key.tobytes(), intent.id, row.tobytes())
                    for key, row in zip(intent.keys, kept, strict=True)
                ],
            )
            database.execute("UPDATE requests SET state = 'answered', pixels = NULL WHERE id = ?", (intent.id,))

    def close(self, intent: Intent, ending: Ending) -> None:
        """Write down that no answer will come."""
        with self._transaction() as database:
            database.execute("UPDATE requests SET state = ?, pixels = NULL WHERE id = ?", (ending, intent.id))

    def pending(self) -> list[Intent]:
        """What has no ending yet, oldest first."""
        with self._transaction() as database:
            found = database.execute(
                "SELECT id, identity, keys, pixels, type, shape FROM requests WHERE state = 'pending' ORDER BY at"
            ).fetchall()
        intents = []
        for id, identity, keys, pixels, kind, shape in found:
            array = np.frombuffer(pixels, kind).reshape([int(side) for side in shape.split("x")])
            tensor = to_pixels(torch.from_numpy(array.copy()))
            intents.append(Intent(id, identity, np.frombuffer(keys, f"V{KEY_BYTES}"), tensor))
        return intents

    def answers(self, identity: str, keys: Keys) -> dict[bytes, NDArray[np.float32]]:
        """The answers that are known, by image key."""
        found = {}
        with self._transaction() as database:
            for key in {key.tobytes() for key in keys}:
                query = "SELECT row FROM answers WHERE identity = ? AND key = ?"
                row = database.execute(query, (identity, key)).fetchone()
                if row is not None:
                    found[key] = np.frombuffer(row[0], "<f4")
        return found

    def totals(self) -> Totals:
        """The sums over every request so far."""
        with self._transaction() as database:
            rows = database.execute(
                "SELECT state, SUM(images), COUNT(*), SUM(price) FROM requests WHERE state != 'refused' GROUP BY state"
            ).fetchall()
        images = {state: int(count) for state, count, _, _ in rows}
        return Totals(
            images=sum(images.values()),
            answered=images.get("answered", 0),
            pending=images.get("pending", 0),
            lost=images.get("lost", 0),
            requests=sum(int(count) for _, _, count, _ in rows),
            price=sum(float(price) for _, _, _, price in rows),
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield self._database
                    self._database.execute("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise WorkspaceError(f"The ledger {self.path} cannot be used: {error}.") from error
