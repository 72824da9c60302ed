"""Power fails at every write of a workspace, of a store of answers and of a ledger: nothing that was kept is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.access.remote.write_ahead import Receipts
from assay.access.store import PosteriorStore, image_keys
from assay.base.digests import digest_file
from assay.base.errors import AssayError
from assay.studies import Outcome, Workspace, run_trials
from assay.studies.trial import Trial
from studies.disk import KINDS, Disk, removed
from studies.doubles import Count, Failing, trial


def trials() -> list[Trial]:
    return [trial(Count(scale=1.0)), trial(Failing(scale=2.0)), trial(Count(scale=3.0))]


def comparable(outcomes: list[Outcome]) -> list[object]:
    return [outcome.comparable() for outcome in outcomes]


def test_a_workspace_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    """At each step, after each kind of loss: what was finished is there, whole, and going on ends as if undisturbed."""
    home = tmp_path / "disk"
    home.mkdir()
    calm = run_trials(trials(), Workspace(tmp_path / "calm"))
    finished: set[str] = set()
    steps = losses = 0
    seen: set[str] = set()
    problems: list[str] = []

    def check(image: Path) -> None:
        nonlocal losses
        losses += 1
        kept = Workspace(image / "work")
        for key in finished:
            assert kept.load(key) is not None, "a finished trial was lost"
        for file in (image / "work" / "trials").glob("*.json"):
            outcome = kept.load(file.stem)
            assert outcome is not None, "a trial is there by half"
            there = {name: digest_file(kept.artefacts(outcome.key) / name) for name in outcome.artefacts}
            assert there == outcome.artefacts, "a trial vouches for files that are not there"
            assert outcome.artefacts
        assert comparable(run_trials(trials(), kept).outcomes) == comparable(calm.outcomes)
        assert not [file for file in (image / "work" / "trials").iterdir() if file.name.startswith(".")]

    def step() -> None:
        nonlocal steps
        steps += 1
        for kind in KINDS:
            image = tmp_path / f"image-{steps}"
            disk.image(kind, image)
            Disk.current, before = None, Disk.current
            places = sorted(image.rglob("*"))
            state = repr([(str(each.relative_to(image)), each.is_file() and each.read_bytes()) for each in places])
            try:
                if state not in seen:
                    seen.add(state)
                    check(image)
            except (AssertionError, AssayError) as error:  # the program that is watched must not catch it
                problems.append(f"step {steps}, {kind}: {error}")
            finally:
                Disk.current = before
            removed(image)

    disk = Disk(home, step)
    with disk.watched():
        for one in trials():
            outcome = run_trials([one], Workspace(home / "work")).outcomes[0]
            if outcome.status == "done":
                finished.add(outcome.key)
    step()
    assert problems == []
    assert len(finished) == 2
    assert steps > 60
    assert losses > 60


CLASSES = 4


def test_a_store_holds_nothing_wrong_and_what_was_flushed(tmp_path: Path) -> None:
    """Pages of the last batch that never reached the disk read as zeros, or the file ends before them."""
    pixels = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    keys, logits = image_keys(pixels), np.random.default_rng(0).normal(size=(6, CLASSES)).astype(np.float32)
    store = PosteriorStore(tmp_path / "calm.logits", CLASSES)
    store.put(keys[:3], logits[:3])
    before, old = store.path.read_bytes(), store._batch.read_bytes()
    store.put(keys[3:], logits[3:])
    after, new = store.path.read_bytes(), store._batch.read_bytes()
    for place in range(len(before), len(after) + 1, 3):
        for content in (after[:place], after[:place] + bytes(len(after) - place), before + bytes(place - len(before))):
            for batch in (old, new, b"", None):
                file = tmp_path / "torn.logits"
                file.write_bytes(content)
                noted = file.with_name("torn.logits.batch")
                noted.unlink(missing_ok=True) if batch is None else noted.write_bytes(batch)
                torn = PosteriorStore(file, CLASSES)
                missing = torn.missing(keys)
                assert set(missing) <= {3, 4, 5}, "answers of an earlier batch were lost"
                held = [row for row in range(6) if row not in set(missing)]
                np.testing.assert_array_equal(torn.get(keys[held]), logits[held])
                torn.put(keys[missing], logits[missing])
                np.testing.assert_array_equal(PosteriorStore(file, CLASSES).get(keys), logits)


def test_a_ledger_has_each_write_whole_or_not_at_all(tmp_path: Path) -> None:
    """The write-ahead log is flushed at each commit: after a failure it ends at some byte after the last of those."""
    pixels = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    keys, rows = image_keys(pixels), np.full((4, 3), 1 / 3, np.float32)
    place = tmp_path / "ledger.sqlite"
    ledger = Receipts(place)
    log = place.with_name(f"{place.name}-wal")
    assert ledger._database.execute("PRAGMA synchronous").fetchone() == (2,), "commits are not flushed"
    assert ledger._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    intents = []

    def intend() -> None:
        intents.append(ledger.intend("one", keys[2 * len(intents) :][:2], pixels[:2], 1.5, None))

    def answer() -> None:
        ledger.answer(intents[0], rows[:2])

    def lose() -> None:
        ledger.close(intents[1], "lost")

    failures = 0
    for act in (intend, answer, intend, lose):
        files = {file: file.read_bytes() for file in (place, log)}
        was = facts(ledger)
        act()
        end, now = log.read_bytes(), facts(ledger)
        start = len(files[log])
        for cut in sorted({*range(start, len(end), 397), *range(len(end) - 40, len(end) + 1)}):
            for tail in (b"", bytes(len(end) - cut), b"\xa5" * (len(end) - cut)):
                found = reopened(tmp_path / f"torn-{failures}", files[place], end[:cut] + tail)
                failures += 1
                assert found == now if cut == len(end) else found in (was, now)
    assert failures > 150
    assert [state for state, *_ in facts(ledger)] == ["answered", "lost"]


def facts(ledger: Receipts) -> list[tuple[object, ...]]:
    requests = (
        "SELECT state, images, price, (SELECT COUNT(*) FROM answers WHERE answers.id = requests.id) FROM requests"
    )
    return sorted(ledger._database.execute(requests).fetchall(), key=str)


def reopened(folder: Path, database: bytes, log: bytes) -> list[tuple[object, ...]]:
    folder.mkdir()
    (folder / "ledger.sqlite").write_bytes(database)
    (folder / "ledger.sqlite-wal").write_bytes(log)
    ledger = Receipts(folder / "ledger.sqlite")
    found = facts(ledger)
    assert isinstance(ledger._database, sqlite3.Connection)
    ledger._database.close()
    shutil.rmtree(folder)
    return found


@pytest.mark.parametrize("flushed", [True, False])
def test_the_disk_of_these_tests_loses_what_was_not_flushed(tmp_path: Path, flushed: bool) -> None:
    home = tmp_path / "disk"
    home.mkdir()
    disk = Disk(home, lambda: None)
    with disk.watched():
        with (home / "a").open("w") as file:
            file.write("content")
            file.flush()
            if flushed:
                os.fsync(file.fileno())
        if flushed:
            folder = os.open(home, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    disk.image(KINDS[0], tmp_path / "image")
    assert [file.read_text() for file in (tmp_path / "image").iterdir()] == (["content"] if flushed else [])
