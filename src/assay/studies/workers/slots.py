"""A slot takes one job at a time. Those of this machine have a worker process each."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from assay.studies.study_file import EngineChoice, Limits
from assay.studies.work import Event, Job
from assay.studies.workers.supervisor import Supervisor


class Slot(Protocol):
    """What takes one job at a time."""

    name: str

    def run(self, job: Job) -> Iterator[Event]:
        """Have a job done.

        Raises:
            EngineError: if there are no workers, or they refuse to work.
        """
        ...

    def stop(self) -> None:
        """End whatever runs, now; callable from another thread."""
        ...


class LocalSlot(Supervisor):
    """A worker process of this machine."""

    def __init__(self, number: int, threads: int, limits: Limits, logs: Path, device: str) -> None:
        self.name = f"{platform.node()}-{number + 1}"
        super().__init__(limits, threads, log=logs / f"worker-{number + 1}.log", environment=_one_gpu(number, device))


class Division(NamedTuple):
    """How a machine is divided."""

    workers: int
    threads: int


def divide(engine: EngineChoice, cores: int, jobs: int, threads: int | None) -> Division:
    """Workers and threads of each: as asked, else a worker a core (no more than jobs), and the cores shared out.

    ``threads`` is what the study began with: sums are split among threads, so it keeps them unless told otherwise.
    """
    asked = engine.threads or threads
    workers = engine.workers or max(1, min(jobs, cores // (asked or 1)))
    return Division(min(workers, max(jobs, 1)), asked or max(1, cores // workers))


def _one_gpu(number: int, device: str) -> dict[str, str]:
    """Workers take turns with the GPUs, where there are several and the study names none."""
    if device not in ("auto", "cuda") or "CUDA_VISIBLE_DEVICES" in os.environ:
        return {}
    import torch

    count = torch.cuda.device_count()
    return {"CUDA_VISIBLE_DEVICES": str(number % count)} if count > 1 else {}
