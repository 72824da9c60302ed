"""Ray: the slots of a cluster. Each is an actor with a worker process of its own, supervised as on one machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from assay.base.errors import EngineError, UsageError
from assay.studies.study_file import EngineChoice, Limits
from assay.studies.work import Event, Job
from assay.studies.workers.driving import Died, drive
from assay.studies.workers.supervisor import Supervisor

TICK = 0.5
"""Seconds between two looks at whether the study was stopped."""
PATIENCE = "180"
"""Seconds that Ray may take to start on a busy machine, as Ray wants it."""


class Member:
    """What an actor runs, on whatever node it was put."""

    def __init__(self, limits: str, threads: int) -> None:
        self.supervisor = Supervisor(Limits.model_validate_json(limits), threads)

    def node(self) -> str:
        """The name of its machine."""
        return platform.node()

    def run(self, job: str) -> Iterator[str]:
        """Have a job done by this node's worker; jobs and events are JSON, so that both sides check what they get."""
        try:
            for event in self.supervisor.run(Job.model_validate_json(job)):
                yield event.model_dump_json()
        except EngineError as error:
            yield Event(kind="refused", reason=str(error)).model_dump_json()
            return
        yield Event(kind="idle").model_dump_json()


class Cluster:
    """A connection to Ray.

    A cluster that is named is joined; else one is started on this machine, and ended with `close` or this process.
    """

    def __init__(self, engine: EngineChoice, workers: int, threads: int) -> None:
        """Connect.

        Raises:
            UsageError: if Ray is not installed.
            EngineError: if there is no cluster at the address, or it can never give what a worker asks for.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_raylet_start_wait_time_s", PATIENCE)
        try:
            ray: Any = import_module("ray")
        except ImportError:
            raise UsageError("The Ray engine needs the package ray: install modelassay[cluster].") from None
        self.ray = ray
        self.asked = {"num_cpus": engine.cpus or threads, "num_gpus": engine.gpus}
        here = {"num_cpus": max(1, round(workers * self.asked["num_cpus"])), "include_dashboard": False}
        options = {"address": engine.address} if engine.address else here
        try:
            ray.init(**options, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except Exception as error:  # of many kinds
            raise EngineError(f"Ray cannot be reached{_at(engine)}: {str(error).splitlines()[0]}") from error
        there = ray.cluster_resources()
        for what, amount in (("CPU", self.asked["num_cpus"]), ("GPU", self.asked["num_gpus"])):
            if amount > there.get(what, 0):
                self.close()
                raise EngineError(f"A worker asks for {amount:g} {what}, and the cluster has {there.get(what, 0):g}.")
        self.cpus = int(there["CPU"] // self.asked["num_cpus"])

    def slots(self, count: int | None, jobs: int, threads: int, limits: Limits) -> list[ClusterSlot]:
        """So many slots; by default as many as the cluster has processors for, and no more than there are jobs."""
        number = min(count or self.cpus, max(jobs, 1))
        return [ClusterSlot(self, f"ray-{i + 1}", threads, limits) for i in range(number)]

    def close(self) -> None:
        """Leave the cluster."""
        self.ray.shutdown()


class ClusterSlot:
    """An actor of a cluster, and another on another node if that is lost."""

    def __init__(self, cluster: Cluster, name: str, threads: int, limits: Limits) -> None:
        self.cluster, self.name, self.threads, self.limits = cluster, name, threads, limits
        self._actor: Any = None
        self._stopped = False

    def run(self, job: Job) -> Iterator[Event]:
        """Start a job on the cluster."""
        return drive(job, self._attempt)

    def stop(self) -> None:
        """End the worker."""
        self._stopped = True
        self._release()

    def _attempt(self, job: Job) -> Iterator[Event]:
        ray = self.cluster.ray
        if self._stopped:
            return
        actor = self._actor or self._place()
        answers = actor.run.remote(job.model_dump_json())
        while not self._stopped:
            ready, _ = ray.wait([answers], timeout=TICK, fetch_local=False)
            if not ready:
                continue
            try:
                event = Event.model_validate_json(ray.get(next(answers)))
            except StopIteration:
                return
            except ray.exceptions.RayError as error:
                self._release()
                raise Died(f"The worker's node or process was lost ({type(error).__name__}).") from error
            yield event
            if event.kind in ("idle", "refused"):
                return

    def _place(self) -> Any:
        member = self.cluster.ray.remote(Member)
        options = {**self.cluster.asked, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        self._actor = member.options(**options).remote(self.limits.model_dump_json(), self.threads)
        return self._actor

    def _release(self) -> None:
        if self._actor is not None:
            self.cluster.ray.kill(self._actor)
            self._actor = None


def _at(engine: EngineChoice) -> str:
    return f" at {engine.address}" if engine.address else ""
