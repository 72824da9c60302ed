"""Deaths of workers, with attempts that are scripted: no process is started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from assay.base.errors import EngineError
from assay.studies.work import Event, Job
from assay.studies.workers.driving import Died, drive
from studies.doubles import unit

JOB = Job(units=[unit("a"), unit("b"), unit("c", seed=1)], workspace="w", code="1")


class Worker:
    """Does what it is given; dies in units named in ``deaths``, so many times; in ``opening`` where that is said."""

    def __init__(self, deaths: dict[str, int], *, opening: bool = False, final: bool = False) -> None:
        self.deaths, self.opening, self.final = dict(deaths), opening, final
        self.seen: list[list[str]] = []

    def __call__(self, job: Job) -> Iterator[Event]:
        self.seen.append([each.id for each in job.units])
        yield Event(kind="ready")
        seed = None
        for each in job.units:
            if each.seed != seed:
                seed = each.seed
                yield Event(kind="opening", unit=each.id)
                self._perhaps(each.id, self.opening)
            yield Event(kind="started", unit=each.id, key=f"key {each.id}")
            if reason := job.given_up.get(each.id):
                yield Event(kind="finished", unit=each.id, state="failed", reason=reason)
                continue
            self._perhaps(each.id, not self.opening)
            yield Event(kind="finished", unit=each.id)
        yield Event(kind="idle")

    def _perhaps(self, name: str, now: bool) -> None:
        if now and self.deaths.get(name, 0) > 0:
            self.deaths[name] -= 1
            raise Died("signal 9", final=self.final)


def states(worker: Worker) -> dict[str, str]:
    return {event.unit: event.state for event in drive(JOB, worker) if event.kind == "finished"}


def test_without_deaths_everything_is_done_in_order_by_one_attempt() -> None:
    worker = Worker({})
    assert states(worker) == {"a": "done", "b": "done", "c": "done"}
    assert worker.seen == [["a", "b", "c"]]


def test_a_death_costs_nothing_but_the_trial_which_is_tried_again() -> None:
    worker = Worker({"b": 1})
    assert states(worker) == {"a": "done", "b": "done", "c": "done"}
    assert worker.seen == [["a", "b", "c"], ["b", "c"]]


def test_a_second_death_gives_the_trial_up_with_its_cause() -> None:
    worker = Worker({"b": 9})
    events = list(drive(JOB, worker))
    assert {e.unit: e.state for e in events if e.kind == "finished"} == {"a": "done", "b": "failed", "c": "done"}
    assert [e.reason for e in events if e.kind == "finished" and e.unit == "b"] == ["signal 9"]
    assert len(worker.seen) == 3


def test_a_limit_is_not_tried_twice() -> None:
    worker = Worker({"b": 9}, final=True)
    assert states(worker) == {"a": "done", "b": "failed", "c": "done"}
    assert len(worker.seen) == 2


def test_what_kills_whoever_opens_it_fails_as_a_whole() -> None:
    worker = Worker({"a": 9}, opening=True)
    assert states(worker) == {"a": "failed", "b": "failed", "c": "done"}


def test_workers_that_never_get_ready_are_an_error_and_not_the_trials_fault() -> None:
    def never(job: Job) -> Iterator[Event]:
        raise Died("exit code 1")
        yield

    with pytest.raises(EngineError, match="die before they begin: exit code 1"):
        list(drive(JOB, never))


def test_a_worker_that_refuses_stops_the_study() -> None:
    def refuses(job: Job) -> Iterator[Event]:
        yield Event(kind="refused", reason="Another version.")

    with pytest.raises(EngineError, match="Another version"):
        list(drive(JOB, refuses))
