from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from assay.base.errors import WorkspaceError
from assay.server import journal as room
from assay.server.journal import Account, Journal, Question, Reply
from assay.server.refusal import Refused

PAYER = Account("c1", 10, 2.0)


def reply(count: int, value: float = 0.5) -> Reply:
    return Reply("posteriors", np.full((count, 2), value, np.float32))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.sqlite")


def test_a_request_is_charged_once_and_answered_alike(journal: Journal) -> None:
    question = Question("a", "d1")
    assert journal.find(PAYER, question) is None
    journal.charge(PAYER, question, reply(3, 0.25))
    again = journal.charge(PAYER, question, reply(3, 0.75))
    assert again.values.tolist() == [[0.25, 0.25]] * 3
    found = journal.find(PAYER, question)
    assert found is not None
    assert np.array_equal(found.values, again.values)
    spent = journal.spent("c1")
    assert (spent.images, spent.calls, spent.price) == (3, 1, 0.006)


def test_labels_are_kept_as_they_were(journal: Journal) -> None:
    question = Question("a", "d")
    journal.charge(PAYER, question, Reply("label", np.array([3, 1], np.int64)))
    found = journal.find(PAYER, question)
    assert found is not None
    assert (found.output, found.values.dtype, found.values.tolist()) == ("label", np.int64, [3, 1])


def test_an_id_stands_for_one_content_of_one_client(journal: Journal) -> None:
    journal.charge(PAYER, Question("a", "d1"), reply(1))
    for act in (lambda q: journal.find(PAYER, q), lambda q: journal.charge(PAYER, q, reply(1))):
        with pytest.raises(Refused, match="used for other images") as refused:
            act(Question("a", "d2"))
        assert refused.value.status == 409
    assert journal.find(PAYER._replace(client="c2"), Question("a", "d2")) is None
    assert journal.spent("c1").images == 1


def test_without_an_id_every_request_is_charged(journal: Journal) -> None:
    for _ in range(2):
        journal.charge(PAYER, Question(None, "d"), reply(2))
    assert (journal.spent("c1").images, journal.spent("c1").calls) == (4, 2)


def test_the_budget_is_reached_and_never_exceeded(journal: Journal) -> None:
    journal.charge(PAYER, Question("a", "d"), reply(7))
    with pytest.raises(Refused, match="10 images, 7 are spent; 4 more are refused") as refused:
        journal.charge(PAYER, Question("b", "d"), reply(4))
    assert refused.value.status == 402
    journal.charge(PAYER, Question("c", "d"), reply(3))
    assert journal.find(PAYER, Question("a", "d")) is not None
    with pytest.raises(Refused):
        journal.afford(PAYER, 1)


def test_prices_may_change(journal: Journal) -> None:
    journal.charge(PAYER, Question(None, "d"), reply(1))
    journal.charge(PAYER._replace(price_per_1000=10.0), Question(None, "d"), reply(1))
    assert journal.spent("c1").price == pytest.approx(0.012)
    assert journal.spent("c1").images == 2


def test_many_processes_and_threads_share_a_budget(tmp_path: Path) -> None:
    books = [Journal(tmp_path / "j.sqlite") for _ in range(3)]

    def ask(number: int) -> int:
        try:
            books[number % 3].charge(PAYER, Question(str(number), "d"), reply(3))
        except Refused:
            return 0
        return 3

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(ask, range(12))) == 9
    assert books[0].spent("c1").images == 9


def test_old_answers_go_and_charges_stay(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.charge(PAYER, Question("old", "d"), reply(1))
    now = time.time()
    monkeypatch.setattr(room.time, "time", lambda: now + room.KEPT_SECONDS + 1)
    journal.charge(PAYER, Question("new", "d"), reply(1))
    assert journal.find(PAYER, Question("old", "d")) is None
    assert journal.find(PAYER, Question("new", "d")) is not None
    assert journal.spent("c1").images == 2


def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    path, account, rng = tmp_path / "j.sqlite", Account("c", None, 0.0), random.Random(5)
    acknowledged: set[str] = set()
    for life in range(10):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            books = Journal(path)
            for number in range(100_000):
                books.charge(account, Question(f"{life}-{number}", "d"), reply(2))
                os.write(writer, f"{life}-{number}\n".encode())
        os.close(writer)
        with os.fdopen(reader) as answers:
            first = answers.readline().strip()
            time.sleep(rng.uniform(0, 0.05))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            acknowledged |= {first, *(line.strip() for line in answers if line.endswith("\n"))}
    books = Journal(path)
    with sqlite3.connect(path) as database:
        kept = {id for (id,) in database.execute("SELECT id FROM answered")}
    assert acknowledged <= kept
    assert len(kept - acknowledged) <= 10  # the one that was being answered in each life
    assert (books.spent("c").calls, books.spent("c").images) == (len(kept), 2 * len(kept))


def test_what_cannot_be_written_is_not_charged(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="cannot be opened"):
        Journal(tmp_path / "file" / "journal.sqlite")
    journal = Journal(tmp_path / "j.sqlite")
    page = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count={page + 2}")
    with pytest.raises(WorkspaceError, match="full"):
        fill(journal)
    kept = [number for number in range(100) if journal.find(PAYER._replace(budget=None), Question(str(number), "d"))]
    assert kept == list(range(len(kept)))
    assert journal.spent("c1").calls == len(kept) < 100


def fill(journal: Journal) -> None:
    for number in range(100):
        journal.charge(PAYER._replace(budget=None), Question(str(number), "d"), reply(500))
