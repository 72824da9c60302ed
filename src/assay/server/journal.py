"""What was charged, to whom, and what was answered: committed before the answer leaves."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.access import Answers, Spent
from assay.base.errors import WorkspaceError
from assay.server.refusal import Refused

KEPT_SECONDS = 30 * 86_400
"""How long an answer is kept for a client that asks again under the same id."""

TIDY_SECONDS = 3600

SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (
    client TEXT NOT NULL, price_per_1000 REAL NOT NULL, images INTEGER NOT NULL, calls INTEGER NOT NULL,
    PRIMARY KEY (client, price_per_1000)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answered (
    client TEXT NOT NULL, id TEXT NOT NULL, digest TEXT NOT NULL, output TEXT NOT NULL, images INTEGER NOT NULL,
    answer BLOB NOT NULL, at REAL NOT NULL, PRIMARY KEY (client, id)
);
CREATE INDEX IF NOT EXISTS answered_at ON answered (at);
"""


class Reply(NamedTuple):
    """One tensor: ``posteriors`` float32 (n, classes), or ``label`` int64 (n,)."""

    output: str
    values: NDArray[Any]

    @classmethod
    def of(cls, answers: Answers) -> Reply:
        """What an oracle answered."""
        if answers.posteriors is None:
            return cls("label", np.ascontiguousarray(answers.labels, "<i8"))
        return cls("posteriors", np.ascontiguousarray(answers.posteriors, "<f4"))


class Account(NamedTuple):
    """Who pays: the client's id, the most images that it may ask (None: any number), and US dollars per 1,000."""

    client: str
    budget: int | None
    price_per_1000: float


class Question(NamedTuple):
    """A client's request: its id (None: it will not be asked again), and the SHA-256 of its images."""

    id: str | None
    digest: str


class Journal:
    """An SQLite database (write-ahead log, synchronised on every commit), for any thread and process."""

    def __init__(self, path: Path) -> None:
        """Open or create it.

        Raises:
            WorkspaceError: if that fails.
        """
        self.path = path
        self._lock = threading.Lock()
        self._tidied = 0.0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise WorkspaceError(f"The journal {path} cannot be opened: {error}.") from error

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def find(self, account: Account, question: Question) -> Reply | None:
        """What was answered to this very request before.

        Raises:
            Refused: if its id stands for other images.
        """
        with self._transaction("DEFERRED"):
            return self._find(account, question)

    def afford(self, account: Account, images: int) -> None:
        """Nothing, if the budget has room for so many images.

        Raises:
            Refused: if it has not.
        """
        with self._transaction("DEFERRED"):
            self._afford(account, images)

    def _afford(self, account: Account, images: int) -> None:
        spent = self._spent(account.client).images
        if account.budget is not None and spent + images > account.budget:
            raise Refused(
                "budget",
                f"The budget is {account.budget} images, {spent} are spent; {images} more are refused, and none of "
                "them was charged.",
            )

    def charge(self, account: Account, question: Question, reply: Reply) -> Reply:
        """Charge a request and keep its answer, both or neither. Returns what to answer.

        A request that was charged meanwhile is not charged again; its first answer is returned.

        Raises:
            Refused: if the budget has no room for it, or its id stands for other images; nothing is charged.
            WorkspaceError: if nothing can be written; nothing is charged.
        """
        images = len(reply.values)
        with self._transaction("IMMEDIATE") as database:
            known = self._find(account, question)
            if known is not None:
                return known
            self._afford(account, images)
            database.execute(
                "INSERT INTO spent VALUES (?, ?, ?, 1) "
                "ON CONFLICT DO UPDATE SET images = images + ?, calls = calls + 1",
                (account.client, account.price_per_1000, images, images),
            )
            if question.id is not None:
                row = (account.client, question.id, question.digest, reply.output, images, reply.values.tobytes())
                database.execute("INSERT INTO answered VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, time.time()))
            self._tidy()
        return reply

    def spent(self, client: str) -> Spent:
        """What a client was charged so far."""
        with self._transaction("DEFERRED"):
            return self._spent(client)

    def _spent(self, client: str) -> Spent:
        rows = self._database.execute("SELECT price_per_1000, images, calls FROM spent WHERE client = ?", (client,))
        prices, images, calls = zip(*rows.fetchall() or [(0.0, 0, 0)], strict=True)
        price = sum(image * each / 1000 for each, image in zip(prices, images, strict=True))
        return Spent(images=sum(images), calls=sum(calls), price=price)

    def _find(self, account: Account, question: Question) -> Reply | None:
        if question.id is None:
            return None
        key = (account.client, question.id)
        query = "SELECT digest, output, images, answer FROM answered WHERE client = ? AND id = ?"
        row = self._database.execute(query, key).fetchone()
        if row is None:
            return None
        digest, output, images, answer = row
        if digest != question.digest:
            raise Refused(
                "conflict", f"The id {question.id!r} was used for other images; take a new id for each new request."
            )
        if output == "label":
            return Reply(output, np.frombuffer(answer, "<i8"))
        return Reply(output, np.frombuffer(answer, "<f4").reshape(images, -1))

    def _tidy(self) -> None:
        now = time.time()
        if now - self._tidied > TIDY_SECONDS:
            self._database.execute("DELETE FROM answered WHERE at < ?", (now - KEPT_SECONDS,))
            self._tidied = now

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute(f"BEGIN {kind}")
                try:
                    yield self._database
                    self._database.execute("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise WorkspaceError(f"The journal {self.path} cannot be used: {error}.") from error
