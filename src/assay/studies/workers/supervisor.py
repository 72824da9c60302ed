"""A worker process of this machine, watched: what it says, whether it lives, and what it uses."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from assay.base.errors import EngineError, WorkspaceError
from assay.studies.study_file import Limits
from assay.studies.work import Event, Job
from assay.studies.workers.driving import Died, drive

TICK = 0.1
"""Seconds between two looks at a worker's clock and memory."""
COMMAND = (sys.executable, "-P", str(Path(__file__).with_name("worker.py")))
"""By its path: it listens to whether its supervisor lives before it imports anything of size."""


class Supervisor:
    """One worker at a time, started when it is needed and again when it dies.

    The worker ends with the process that supervises it, however that ends: its standard input is closed then.
    """

    def __init__(
        self,
        limits: Limits,
        threads: int,
        *,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        """``log`` takes what workers write to standard error."""
        self.limits, self.log, self.command = limits, log, command
        counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        self.environment = {**os.environ, **counts, **(environment or {})}
        self.stopped = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def run(self, job: Job) -> Iterator[Event]:
        """Have a job done; see `assay.studies.workers.driving.drive`.

        Raises:
            EngineError: if workers cannot be started or refuse to work.
        """
        return drive(job, self._attempt)

    def stop(self) -> None:
        """End the worker now; `run` ends, too. Callable from another thread."""
        self.stopped.set()
        if (process := self._process) is not None:
            process.kill()

    def _attempt(self, job: Job) -> Iterator[Event]:
        if self.stopped.is_set():
            return
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(job.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None
        began: float | None = None
        while not self.stopped.is_set():
            for event in self._read():
                yield event
                began = time.monotonic() if event.kind == "started" else None
                if event.kind in ("idle", "refused"):
                    return
            self._check(began)

    def _start(self) -> None:
        self._unread = b""
        try:
            errors = subprocess.DEVNULL if self.log is None else self.log.open("ab")
        except OSError as error:
            raise WorkspaceError(f"The log {self.log} cannot be written: {error.strerror}.") from error
        try:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=self.environment
            )
        except OSError as error:
            raise EngineError(f"A worker cannot be started: {error.strerror}.") from error
        finally:
            if not isinstance(errors, int):
                errors.close()

    def _read(self) -> list[Event]:
        """What the worker said within a tick."""
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        if not select.select([descriptor], [], [], TICK)[0]:
            return []
        content = os.read(descriptor, 1 << 16)
        if not content:
            raise self._death()
        *lines, self._unread = (self._unread + content).split(b"\n")
        try:
            return [Event.model_validate_json(line) for line in lines]
        except ValidationError as error:
            raise EngineError(f"A worker said something that is not understood: {error.errors()[0]['msg']}.") from None

    def _check(self, began: float | None) -> None:
        """Kill the worker if its trial goes over a limit."""
        seconds, memory = self.limits.seconds, self.limits.memory_gb
        if seconds is not None and began is not None and time.monotonic() - began > seconds:
            self._kill()
            raise Died(f"It took longer than the limit of {seconds:g} s.", final=True)
        if memory is not None and self._memory() > memory * 1e9:
            self._kill()
            raise Died(f"Its worker used more than the limit of {memory:g} GB of memory.", final=True)

    def _memory(self) -> int:
        """Bytes that the worker holds in memory; 0 where the system does not tell (only Linux does)."""
        assert self._process is not None
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def _kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _death(self) -> Died:
        assert self._process is not None
        code = self._process.wait()
        if code >= 0:
            return Died(f"The worker ended with exit code {code}.")
        name = signal.Signals(-code).name
        hint = "; the system kills so when memory runs out" if -code == signal.SIGKILL else ""
        return Died(f"The worker was killed by signal {-code} ({name}{hint}).")
