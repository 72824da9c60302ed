"""kill -9 at ten random moments of an audit loses at most the batch in flight."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from assay.access.store import PosteriorStore
from assay.studies import Workspace

SCRIPT = Path(__file__).parent / "audit_once.py"
KILLS = 10


def start(workspace: Path, log: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(workspace), str(log)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(workspace: Path, log: Path) -> str:
    out, _ = start(workspace, log).communicate()
    return out


def held(workspace: Path) -> set[str]:
    """Keys of the answers that are on disk."""
    keys: set[str] = set()
    for file in (workspace / "stores").glob("*.logits"):
        keys |= {key.hex() for key in PosteriorStore(file, 10)._rows}
    return keys


def finished(workspace: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in (workspace / "trials").glob("*.json")}


def test_killed_at_ten_random_moments(tmp_path: Path) -> None:
    calm, torn = tmp_path / "calm", tmp_path / "torn"
    began = time.monotonic()
    finish(calm, tmp_path / "calm.log")
    duration = time.monotonic() - began
    moments = random.Random(20)
    for kill in range(KILLS):
        answers, trials = held(torn), finished(torn)
        log = tmp_path / f"{kill}.log"
        process = start(torn, log)
        time.sleep(moments.uniform(0.0, duration / 4))
        process.kill()
        process.communicate()
        assert trials.items() <= finished(torn).items(), "a finished trial was run again"
        asked = log.read_text().split() if log.exists() else []
        assert answers.isdisjoint(asked), "an answer on disk was asked for again"
    answers, trials = held(torn), finished(torn)
    log = tmp_path / "last.log"
    finish(torn, log)
    assert trials.items() <= finished(torn).items()
    assert answers.isdisjoint(log.read_text().split() if log.exists() else [])

    def findings(workspace: Path) -> dict[str, object]:
        return {
            o.key: (o.status, o.metrics, o.verdict, o.figures, o.artefacts) for o in Workspace(workspace).outcomes()
        }

    assert findings(torn) == findings(calm)
    assert all(status == "done" for status, *_ in findings(torn).values())  # type: ignore[misc]
    again = tmp_path / "again.log"
    assert "reused" in finish(torn, again)
    assert not again.exists(), "a finished audit asked the network again"
