"""Getting a job done by workers that may die."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from assay.base.errors import EngineError
from assay.studies.units import Unit
from assay.studies.work import Event, Job

ATTEMPTS = 2
"""Times that a trial may take its worker along before it is given up."""
STARTS = 4
"""Times in a row that a worker may die before it is ready."""


class Died(Exception):
    """A worker died. ``final`` says that the same would happen again: the trial went over a limit."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.final = reason, final


Attempt = Callable[[Job], Iterator[Event]]
"""Has a worker do a job, until it is done or raises `Died`."""


def drive(job: Job, attempt: Attempt) -> Iterator[Event]:
    """Have a job done. Whatever dies costs the trial that it was in, which is tried once more and then given up.

    A trial that is given up is recorded as failed, by the next worker, with its cause. Where a model cannot even be
    opened without the worker dying, all its units fail.

    Raises:
        EngineError: if workers die before they begin, or refuse to work.
    """
    left = {unit.id: unit for unit in job.units}
    given_up: dict[str, str] = dict(job.given_up)
    deaths: Counter[str] = Counter()
    starts = 0
    while left:
        current: Event | None = None
        try:
            for event in attempt(job.model_copy(update={"units": list(left.values()), "given_up": given_up})):
                starts = 0
                if event.kind == "refused":
                    raise EngineError(event.reason)
                if event.kind in ("opening", "started"):
                    current = event
                elif event.kind == "finished":
                    current = None
                    left.pop(event.unit)
                if event.kind not in ("ready", "idle"):
                    yield event
            return
        except Died as death:
            if current is None:
                starts += 1
                if starts == STARTS:
                    raise EngineError(f"Workers die before they begin: {death.reason}") from None
                continue
            name = current.unit
            deaths[name] += 1
            hopeless = death.final or deaths[name] >= ATTEMPTS
            yield Event(kind="died", unit=name, reason=death.reason)
            if current.kind == "started" and hopeless and name not in given_up:
                given_up[name] = death.reason
            elif hopeless or name in given_up:
                for unit in _lost(left, current):
                    left.pop(unit.id)
                    yield Event(kind="finished", unit=unit.id, key=current.key, state="failed", reason=death.reason)


def _lost(left: dict[str, Unit], current: Event) -> list[Unit]:
    """The unit that a worker died in; all that need the same opening, if it died opening."""
    unit = left[current.unit]
    if current.kind == "started":
        return [unit]
    return [each for each in left.values() if each.seed == unit.seed]
