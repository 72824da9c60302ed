"""A real process is watched; it speaks the protocol and does nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.studies.study_file import Limits
from assay.studies.work import Event, Job
from assay.studies.workers.supervisor import COMMAND, Supervisor
from studies.doubles import unit

SPEAKS = """
import ctypes, json, os, signal, sys, time
say = lambda kind, **more: print(json.dumps({"kind": kind, **more}), flush=True)
say("ready")
for line in sys.stdin:
    job = json.loads(line)
    for unit in job["units"]:
        say("started", unit=unit["id"])
        if unit["id"] in job["given_up"]:
            say("finished", unit=unit["id"], state="failed", reason=job["given_up"][unit["id"]])
            continue
        what = unit["method"]
        if what == "segfault":
            ctypes.string_at(0)
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "exit":
            sys.exit(7)
        if what == "sleep":
            time.sleep(60)
        if what == "eat":
            eaten = b"x" * 400_000_000
            time.sleep(60)
        say("finished", unit=unit["id"])
    say("idle")
"""


def outcome(method: str, limits: Limits | None = None) -> dict[str, Event]:
    supervisor = Supervisor(limits or Limits(), 1, command=(sys.executable, "-c", SPEAKS))
    units = [unit("first", method="well"), unit("bad", method=method), unit("last", method="well")]
    try:
        events = supervisor.run(Job(units=units, workspace="w", code="1"))
        return {event.unit: event for event in events if event.kind == "finished"}
    finally:
        supervisor.stop()


@pytest.mark.parametrize(
    ("method", "reason"), [("segfault", "SIGSEGV"), ("kill", "SIGKILL; .*memory runs out"), ("exit", "exit code 7")]
)
def test_a_dying_worker_costs_one_trial_and_says_of_what(method: str, reason: str) -> None:
    found = outcome(method)
    assert {name: event.state for name, event in found.items()} == {"first": "done", "bad": "failed", "last": "done"}
    assert re.search(reason, found["bad"].reason)


def test_a_trial_over_its_time_is_killed() -> None:
    began = time.monotonic()
    found = outcome("sleep", Limits(seconds=0.5))
    assert (found["bad"].state, found["last"].state) == ("failed", "done")
    assert found["bad"].reason == "It took longer than the limit of 0.5 s."
    assert time.monotonic() - began < 20


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_trial_over_its_memory_is_killed() -> None:
    found = outcome("eat", Limits(memory_gb=0.2))
    assert (found["bad"].state, found["last"].state) == ("failed", "done")
    assert "more than the limit of 0.2 GB" in found["bad"].reason


def test_a_worker_ends_when_whoever_started_it_is_killed() -> None:
    code = (
        "import subprocess, time\n"
        f"child = subprocess.Popen({COMMAND!r}, stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\ntime.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    until = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split(")")[1]:
        assert time.monotonic() < until, "the worker lives on"
        time.sleep(0.05)
