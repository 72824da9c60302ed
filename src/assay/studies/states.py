"""How far studies are: ``studies/NAME/`` in a workspace holds a study's plan, its file and the state of every unit."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from assay.base.digests import digest_json
from assay.base.errors import WorkspaceError
from assay.base.files import write_text
from assay.base.frozen import Frozen
from assay.base.locks import try_lock
from assay.studies.units import Unit, by_target, group_name
from assay.studies.workspace import reported

State = Literal["waiting", "running", "done", "failed", "skipped"]
FINISHED: tuple[State, ...] = ("done", "failed", "skipped")
PATIENCE = 1.0
"""Seconds for which a coordinator waits for another's lock: readers hold it for a moment."""


class UnitState(Frozen):
    """How far one unit is. ``key`` is its trial's, known since its target was opened; ``seconds`` is wall time."""

    id: str
    reference: str
    method: str
    seed: int
    state: State = "waiting"
    key: str | None = None
    reason: str = ""
    seconds: float | None = None
    worker: str | None = None


class StudyState(Frozen):
    """How far a study is; its units are in the order of the plan."""

    name: str
    file: str
    created: datetime
    units: list[UnitState]

    def count(self, state: State) -> int:
        """Units in a state."""
        return sum(unit.state == state for unit in self.units)


def read_studies(workspace: Path | str) -> list[StudyState]:
    """All studies of a workspace, by name; while they run, as they are at the moment.

    What an interrupted study was running is waiting again. A study whose plan was damaged is left out.
    """
    folders = sorted(path.parent for path in (Path(workspace) / "studies").glob("*/plan.json"))
    found = (StudyFolder(folder).read() for folder in folders)
    return [study for study in found if study is not None]


class StudyFolder:
    """The folder of one study. One coordinator writes, under a lock; anybody reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._groups: dict[str, dict[str, UnitState]] = {}
        self._group_of: dict[str, str] = {}

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only coordinator. The operating system frees the lock of a process that dies.

        Raises:
            WorkspaceError: if another process has it, or the folder cannot be written.
        """
        with reported(self.path.parent.parent):
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / "lock").open("a")
        with file:
            until = time.monotonic() + PATIENCE
            while not try_lock(file):
                if time.monotonic() > until:
                    raise WorkspaceError(
                        f"The study {self.path.name} is being run by another process; assay study status shows how far "
                        "it is."
                    )
                time.sleep(0.05)
            yield

    @property
    def running(self) -> bool:
        """Whether a coordinator is at work, as far as this machine knows."""
        try:
            with (self.path / "lock").open("r") as file:
                return not try_lock(file, shared=True)
        except OSError:
            return False

    def plan(self, name: str, file: str, text: str, units: Sequence[Unit], threads: int) -> None:
        """Write a plan, keeping what an earlier one of the same study had done.

        Raises:
            WorkspaceError: if the disk is full or read-only.
        """
        earlier = self.read()
        created = earlier.created if earlier else datetime.now(UTC)
        known = {unit.id: unit for unit in earlier.units} if earlier else {}
        content = {
            "name": name,
            "file": file,
            "created": created.isoformat(),
            "threads": threads,
            "units": [unit.model_dump(mode="json") for unit in units],
        }
        with reported(self.path.parent.parent):
            (self.path / "states").mkdir(parents=True, exist_ok=True)
            write_text(self.path / "study.toml", text)
            write_text(self.path / "plan.json", json.dumps(content, indent=1) + "\n")
        self._groups, self._group_of = {}, {}
        for group in by_target(units):
            place = group_name(group)
            self._group_of |= {unit.id: place for unit in group}
            self._groups[place] = {unit.id: known.get(unit.id) or _waiting(unit) for unit in group}

    def states(self) -> list[UnitState]:
        """The states of the plan that was written here."""
        return [state for group in self._groups.values() for state in group.values()]

    def set(self, changes: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Change units' states, by their ids, and write them.

        Raises:
            WorkspaceError: if the disk is full or read-only.
        """
        touched = {}
        for unit, fields in changes:
            place = self._group_of[unit]
            self._groups[place][unit] = self._groups[place][unit].model_copy(update=fields)
            touched[place] = self._groups[place]
        with reported(self.path.parent.parent):
            for place, group in touched.items():
                content = [state.model_dump(mode="json") for state in group.values()]
                text = json.dumps({"sha256": digest_json(content), "units": content}, indent=1)
                write_text(self.path / "states" / f"{place}.json", text + "\n")

    @property
    def threads(self) -> int | None:
        """The threads of each worker that the study began with: sums are split among them, so it keeps them."""
        try:
            return int(self._read_plan()["threads"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def planned(self) -> list[Unit]:
        """The units of the plan; none where there is no plan, or it was damaged."""
        try:
            return [Unit.model_validate(unit) for unit in self._read_plan()["units"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _read_plan(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / "plan.json").read_text())
        return found

    def read(self) -> StudyState | None:
        """The study, or None where there is none, or its plan was damaged."""
        try:
            plan = self._read_plan()
            units = [_waiting(Unit.model_validate(unit)) for unit in plan["units"]]
            states = self._read_states()
            running = self.running
            found = [_alive(states.get(unit.id, unit), running) for unit in units]
            created = datetime.fromisoformat(plan["created"])
            return StudyState(name=plan["name"], file=plan["file"], created=created, units=found)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _read_states(self) -> dict[str, UnitState]:
        found: dict[str, UnitState] = {}
        for file in (self.path / "states").glob("*.json"):
            try:
                content = json.loads(file.read_text())
                if content["sha256"] == digest_json(content["units"]):
                    found |= {unit["id"]: UnitState.model_validate(unit) for unit in content["units"]}
            except (OSError, ValueError, KeyError, TypeError):
                continue  # what it said is found again: the truth is in the trials
        return found


def _waiting(unit: Unit) -> UnitState:
    return UnitState(id=unit.id, reference=unit.reference, method=unit.method, seed=unit.seed)


def _alive(state: UnitState, running: bool) -> UnitState:
    if state.state == "running" and not running:
        return state.model_copy(update={"state": "waiting", "worker": None})
    return state
