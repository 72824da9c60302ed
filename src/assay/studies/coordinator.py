"""Runs a study: hands the units of each target to a slot, and keeps their states."""

from __future__ import annotations

import queue
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from assay.base.cores import available_cores
from assay.base.errors import AssayError, EngineError, UsageError
from assay.base.progress import Progress, silent
from assay.studies.mirror import Mirror
from assay.studies.states import FINISHED, State, StudyFolder, StudyState
from assay.studies.study_file import Budget, Study
from assay.studies.units import Unit, by_target, plan_units
from assay.studies.work import Event, Job, code_version
from assay.studies.workers.slots import LocalSlot, Slot, divide
from assay.studies.workspace import Workspace


@dataclass
class StudyRan:
    """What running a study came to.

    ``measured`` counts the units of this run by state, ``reused`` those of them whose trial was there already.
    ``spent`` says why the study stopped before its end, where a budget was spent.
    """

    state: StudyState
    workspace: Path
    measured: Counter[State] = field(default_factory=Counter)
    reused: int = 0
    spent: str = ""


def study_folder(workspace: Path, name: str) -> StudyFolder:
    """Where a study is kept in a workspace."""
    return StudyFolder(workspace / "studies" / name)


def run_study(
    study: Study,
    *,
    file: str,
    text: str,
    workspace: Path | None = None,
    begun: bool = False,
    retry: Sequence[State] = (),
    progress: Progress | None = None,
) -> StudyRan:
    """Run what is not finished yet. Failures are recorded with their cause and do not stop the rest.

    Args:
        study: what to run; see `assay.studies.study_file.read_study`.
        file: where it was read, for people.
        text: its text, which is kept.
        workspace: in place of the study's own.
        begun: it must have been run before.
        retry: states that are run again: ``failed``, ``skipped``.
        progress: where to report to; nowhere by default.

    Raises:
        UsageError: if it was not begun and should have been, or another study of that name is there.
        WorkspaceError: if the workspace cannot be written (what was finished is kept), or the study is being run.
        EngineError: if there are no workers, or they have another version of Assay.
    """
    place = Workspace(workspace or Path(study.workspace))
    folder = study_folder(place.path, study.name)
    with folder.lock():
        known = folder.read()
        if known is None and begun:
            raise UsageError(f"The study {study.name} was not begun in {place.path}: assay study run {file} begins it.")
        units = plan_units(study)
        if known is not None and known.file != file and {u.id for u in known.units}.isdisjoint(u.id for u in units):
            raise UsageError(
                f"The workspace {place.path} holds another study named {study.name!r}, of {known.file}: give one of "
                "them another name."
            )
        jobs = len(by_target(units))
        division = divide(study.engine, available_cores(), jobs, folder.threads)
        folder.plan(study.name, file, text, units, division.threads)
        run = _Run(study, place, folder, units, division.threads, progress or silent())
        run.check(retry)
        if run.waiting:
            with _slots(study, division.workers, division.threads, len(run.jobs()), folder.path / "logs") as slots:
                run.work(slots)
        state = folder.read()
        assert state is not None, "the plan was just written"
        return StudyRan(state, place.path, run.measured, run.reused, run.spent_reason)


@contextmanager
def _slots(study: Study, workers: int, threads: int, jobs: int, logs: Path) -> Iterator[Sequence[Slot]]:
    slots: Sequence[Slot]
    if study.engine.kind == "local":
        logs.mkdir(exist_ok=True)
        slots = [LocalSlot(i, threads, study.limits, logs, study.device) for i in range(min(workers, jobs))]
        try:
            yield slots
        finally:
            _stop(slots)
        return
    from assay.studies.workers.cluster import Cluster

    cluster = Cluster(study.engine, workers, threads)
    try:
        slots = cluster.slots(study.engine.workers, jobs, threads, study.limits)
        try:
            yield slots
        finally:
            _stop(slots)
    finally:
        cluster.close()


def _stop(slots: Sequence[Slot]) -> None:
    for slot in slots:
        slot.stop()


Message = tuple[str, Event | BaseException | None]
"""A slot's name, and what it says; None when it has no more to do."""


class _Run:
    """One run of a study, in the process that coordinates it."""

    def __init__(
        self, study: Study, place: Workspace, folder: StudyFolder, units: list[Unit], threads: int, progress: Progress
    ) -> None:
        self.study, self.place, self.folder, self.threads, self.progress = study, place, folder, threads, progress
        self.units = {unit.id: unit for unit in units}
        self.measured: Counter[State] = Counter()
        self.reused = 0
        self.images, self.price, self.seconds = 0, 0.0, 0.0
        self.spent_reason = ""
        sync = study.engine.sync
        self.mirror = Mirror(sync, place) if sync else None

    @property
    def waiting(self) -> list[Unit]:
        """Units that are to be run, in the order of the plan."""
        return [self.units[state.id] for state in self.folder.states() if state.state not in FINISHED]

    def check(self, retry: Sequence[State]) -> None:
        """Take the states of the trials' truth: what says that it is done, and is not there, waits again."""
        changes = []
        for state in self.folder.states():
            outcome = self.place.load(state.key) if state.state == "done" and state.key else None
            if outcome is not None:
                self._count(outcome.spent.images, outcome.spent.price, outcome.seconds)
            if (state.state == "done" and outcome is None) or state.state in retry or state.state == "running":
                changes.append((state.id, {"state": "waiting", "reason": "", "seconds": None, "worker": None}))
        self.folder.set(changes)

    def jobs(self) -> list[Job]:
        """The waiting units of each target."""
        return [
            Job(
                units=group,
                workspace=str(self.place.path.resolve()),
                code=code_version(),
                device=self.study.device,
                threads=self.threads,
                sync=self.study.engine.sync,
            )
            for group in by_target(self.waiting)
        ]

    def work(self, slots: Sequence[Slot]) -> None:
        """Hand out jobs until none is left."""
        if self._is_spent():
            return
        jobs, messages = deque(self.jobs()), queue.SimpleQueue[Message]()
        total = len(self.waiting)
        for slot in slots:
            threading.Thread(target=_serve, args=(slot, jobs, messages), daemon=True).start()
        busy = len(slots)
        with self.progress.step(f"study {self.study.name}", total) as step:
            while busy:
                name, what = messages.get()
                if what is None:
                    busy -= 1
                elif isinstance(what, BaseException):
                    raise what
                elif self._hear(name, what):
                    step.advance()
                    if self._is_spent():
                        return

    def _hear(self, worker: str, event: Event) -> bool:
        """Keep what a worker said; whether a unit is finished."""
        unit = self.units[event.unit]
        label = f"{unit.reference}: {unit.method}, seed {unit.seed}"
        if event.kind == "died":
            self.progress.say(f"{label}: {event.reason}")
        if event.kind == "started":
            self.folder.set([(unit.id, {"state": "running", "key": event.key, "worker": worker})])
        if event.kind != "finished":
            return False
        if self.mirror and event.key:
            self.mirror.bring(event.key)
        fields = {"state": event.state, "reason": event.reason, "seconds": event.seconds, "worker": worker}
        self.folder.set([(unit.id, fields | ({"key": event.key} if event.key else {}))])
        self.reused += event.reused
        self.measured[event.state] += 1
        self._count(event.images, event.price, event.seconds)
        if event.state == "failed":
            self.progress.say(f"{label} failed: {event.reason}")
        return True

    def _count(self, images: int, price: float, seconds: float) -> None:
        self.images += images
        self.price += price + seconds / 3600 * self.study.budget.dollars_per_hour
        self.seconds += seconds

    def _is_spent(self) -> bool:
        budget: Budget = self.study.budget
        for what, spent, limit in (
            ("images", self.images, budget.images),
            ("dollars", self.price, budget.dollars),
            ("hours", self.seconds / 3600, budget.hours),
        ):
            if limit is not None and spent >= limit:
                self.spent_reason = f"The budget of {limit:,g} {what} is spent."
                return True
        return False


def _serve(slot: Slot, jobs: deque[Job], messages: queue.SimpleQueue[Message]) -> None:
    """A slot's thread: one job after another."""
    try:
        while True:
            try:
                job = jobs.popleft()
            except IndexError:
                break
            for event in slot.run(job):
                messages.put((slot.name, event))
        slot.stop()
        messages.put((slot.name, None))
    except Exception as error:
        known = isinstance(error, AssayError)
        messages.put((slot.name, error if known else EngineError(f"A worker's supervisor failed: {error!r}.")))
