"""Runs mutations through workers, and counts what came of them."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tools.fuzz.kinds import KINDS

ROOT = Path(__file__).parents[2]
HANG, WALL = 20.0, 120.0
"""Seconds on a core that no opening may take, and seconds by the clock after which a worker is killed."""

MEMORY = 2 << 20
"""Kibibytes of memory that no opening may take."""

BAD = ("executed", "traceback", "unreadable", "memory", "hang", "died")


class Case(NamedTuple):
    """A mutation: the kind of file and a number, from which everything of it is drawn."""

    kind: str
    number: int

    @property
    def name(self) -> str:
        """How it is called in results."""
        return f"{self.kind}-{self.number}"


class Seeds:
    """Good files of every kind, made once and copied."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.files: dict[str, Path] = {}

    def mutated(self, case: Case, folder: Path) -> None:
        """Write a case's files to a folder that is not there yet."""
        kind, source = KINDS[case.kind], self.home / case.kind
        if case.kind not in self.files:
            source.mkdir(parents=True)
            self.files[case.kind] = kind.make(source).relative_to(source)
        shutil.copytree(source, folder)
        file, draw = folder / self.files[case.kind], random.Random(case.name)
        content = file.read_bytes()
        for _ in range(20):
            try:
                changed = draw.choice(kind.ways)(draw, content)
            except Exception:  # a mutation that the library which makes it refuses
                continue
            if changed != content:
                file.write_bytes(changed)
                return
        file.write_bytes(content + b"\0")


def cases(count: int, seed: int, kinds: Iterable[str] = ()) -> list[Case]:
    """So many mutations, the kinds in turn."""
    names = list(kinds) or list(KINDS)
    return [Case(names[at % len(names)], seed * 1_000_000 + at // len(names)) for at in range(count)]


class Worker:
    """A process that opens one folder after another."""

    def __init__(self, canary: Path) -> None:
        path = os.pathsep.join(map(str, (ROOT / "src", ROOT, ROOT / "tests")))
        environment = {**os.environ, "ASSAY_FUZZ_CANARY": str(canary), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.fuzz.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=ROOT,
        )
        ready = self._answer(600.0)
        if "ready" not in ready:
            raise RuntimeError(f"The worker does not start: {ready}")

    def open(self, kind: str, folder: Path) -> dict[str, Any]:
        """What comes of opening a folder."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{kind}\t{folder}\n".encode())
        self.process.stdin.flush()
        return self._answer(WALL)

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            self.end()
            return {"outcome": "hang", "wall": seconds}
        line = self.process.stdout.readline()
        if not line:
            return {"outcome": "died", "code": self.process.wait()}
        found: dict[str, Any] = json.loads(line)
        return found

    @property
    def alive(self) -> bool:
        """Whether it can open another."""
        return self.process.poll() is None

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def run(todo: Iterable[Case], keep: Path | None = None) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Each case with what came of it; the files of bad ones are copied to ``keep``."""
    with tempfile.TemporaryDirectory(prefix="assay-fuzz-") as home:
        seeds, worker = Seeds(Path(home) / "seeds"), None
        highest = 0
        for case in todo:
            folder = Path(home) / case.name
            seeds.mutated(case, folder)
            if worker is None or not worker.alive:
                worker, highest = Worker(Path(home) / "canary"), 0
            found = worker.open(case.kind, folder)
            if found.get("seconds", 0) > HANG:
                found["outcome"] = "hang"
            if found.get("peak", 0) > max(MEMORY, highest) and found["outcome"] not in BAD:
                found["outcome"] = "memory"
            highest = max(highest, found.get("peak", 0))
            if keep is not None and found["outcome"] in BAD:
                shutil.copytree(folder, keep / case.name, dirs_exist_ok=True)
            shutil.rmtree(folder)
            yield case, found
        if worker is not None:
            worker.end()


def summary(results: Iterable[tuple[Case, dict[str, Any]]]) -> dict[str, Any]:
    """Counts by kind and outcome, the slowest and the largest, and every bad case in full."""
    began, by_kind, bad = time.monotonic(), {name: Counter[str]() for name in KINDS}, []
    slowest, peak, fenced = 0.0, 0, 0
    for case, found in results:
        by_kind[case.kind][found["outcome"]] += 1
        slowest, peak = max(slowest, found.get("seconds", 0)), max(peak, found.get("peak", 0))
        fenced += bool(found.get("fenced"))
        if found["outcome"] in BAD:
            bad.append({"case": case.name, **found})
    counts: Counter[str] = sum(by_kind.values(), Counter())
    return {
        "mutations": counts.total(),
        "outcomes": dict(counts),
        "refused_by_limits_or_crash": fenced,
        "slowest_seconds": slowest,
        "peak_mib": peak >> 10,
        "wall_seconds": round(time.monotonic() - began),
        "kinds": {name: dict(found) for name, found in by_kind.items() if found},
        "bad": bad,
    }
