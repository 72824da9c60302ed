"""The worker process: jobs in on standard input, events out on what was standard output, a JSON text a line."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import signal
import sys
import threading

ORPHANED = 3
"""Exit code of a worker whose supervisor is gone."""


def main() -> None:
    """Work until standard input ends. Whoever started this process may have been killed: then it ends at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(jobs,), daemon=True).start()

    from assay.base.errors import AssayError
    from assay.studies.work import Event, Job, run_job

    def report(event: Event) -> None:
        out.write(event.model_dump_json() + "\n")
        out.flush()

    report(Event(kind="ready"))
    while True:
        job = Job.model_validate_json(jobs.get())
        _set_threads(job.threads)
        try:
            run_job(job, report)
        except AssayError as error:
            report(Event(kind="refused", reason=str(error)))
        else:
            report(Event(kind="idle"))


def _receive(jobs: queue.SimpleQueue[str]) -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in sys.stdin:
            jobs.put(line)
    os._exit(ORPHANED)


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
