"""What a worker does, on this machine or on another: the units of one target, in their order."""

from __future__ import annotations

import hashlib
import tempfile
import traceback
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Literal

from pydantic import Field

from assay.access.opening import open_target
from assay.base.digests import digest_json
from assay.base.errors import AssayError, EngineError, WorkspaceError
from assay.base.frozen import Frozen
from assay.base.progress import Progress
from assay.studies.mirror import Mirror
from assay.studies.outcome import Outcome
from assay.studies.run import give_up, run_trials
from assay.studies.sanity import Sanity
from assay.studies.sanity_check import look
from assay.studies.trial import plan_trials
from assay.studies.units import Place, Unit
from assay.studies.workspace import Workspace
from assay.targets.target import Target


class Job(Frozen):
    """The units of one target that are still to be done.

    ``code`` is that of whoever planned it (`code_version`). ``given_up`` says why units must not be tried again, by
    their ids. With ``sync`` the worker has a workspace of its own, and what it finishes is copied to that address.
    """

    units: list[Unit]
    workspace: str
    code: str
    device: str = "cpu"
    threads: int = 1
    sync: str | None = None
    given_up: dict[str, str] = Field(default={})


class Event(Frozen):
    """What a worker says, or is said of it.

    ``ready``: it is there; ``opening``: it opens the unit's target; ``started`` and ``finished``: the unit; ``idle``:
    the job is done; ``refused``: it cannot work at all, for the ``reason``; ``died``: that is what it did in the unit.
    """

    kind: Literal["ready", "opening", "started", "finished", "idle", "refused", "died"]
    unit: str = ""
    key: str | None = None
    state: Literal["done", "failed", "skipped"] = "done"
    reason: str = ""
    seconds: float = 0.0
    images: int = 0
    price: float = 0.0
    reused: bool = False


Report = Callable[[Event], None]


@cache
def code_version() -> str:
    """The version of Assay, and the first digits of the SHA-256 of its source."""
    root, h = Path(__file__).resolve().parents[1], hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        h.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return f"{version('modelassay')}+{h.hexdigest()[:12]}"


def run_job(job: Job, report: Report) -> None:
    """Do the units of a job. A unit that fails is reported with its cause and does not stop the rest.

    Raises:
        EngineError: if this worker has another version of Assay than the study.
        WorkspaceError: if the workspace cannot be written; finished trials are kept.
    """
    if job.code != code_version():
        raise EngineError(
            f"A worker has Assay {code_version()}, and the study is run by {job.code}: install the same everywhere."
        )
    workspace = Workspace(job.workspace if job.sync is None else _scratch(job.sync))
    mirror = Mirror(job.sync, workspace) if job.sync else None
    for _, group in groupby(job.units, key=lambda unit: unit.seed):
        units = list(group)
        report(Event(kind="opening", unit=units[0].id))
        try:
            target = open_place(units[0].place, workspace, device=job.device, seed=units[0].seed)
            sanity = look(target, workspace)
        except WorkspaceError:
            raise
        except Exception as error:
            for unit in units:
                report(Event(kind="finished", unit=unit.id, state="failed", reason=_cause(error)))
            continue
        for unit in units:
            _run_unit(unit, target, sanity, workspace, mirror, job.given_up.get(unit.id, ""), report)


def open_place(
    place: Place, workspace: Workspace, *, device: str, seed: int, progress: Progress | None = None
) -> Target:
    """The target of units; a service's ledger is in the workspace. See `assay.access.opening.open_target`."""
    return open_target(
        place.reference,
        place.terms,
        ledgers=workspace.path / "ledgers",
        data=place.data,
        suspects=place.suspects,
        drop_duplicates=place.drop_duplicates,
        device=device,
        seed=seed,
        progress=progress,
    )


def _run_unit(
    unit: Unit,
    target: Target,
    sanity: Sanity | None,
    workspace: Workspace,
    mirror: Mirror | None,
    given_up: str,
    report: Report,
) -> None:
    try:
        (trial,) = plan_trials(target, [unit], sanity)
        report(Event(kind="started", unit=unit.id, key=trial.key))
        if mirror:
            mirror.fetch(trial)
        if given_up:
            outcome, reused = give_up(trial, workspace, given_up), 0
        else:
            ran = run_trials([trial], workspace)
            outcome, reused = ran.outcomes[0], ran.reused
        if mirror:
            mirror.publish(trial)
    except WorkspaceError:
        raise
    except Exception as error:
        report(Event(kind="finished", unit=unit.id, state="failed", reason=_cause(error)))
        return
    report(_finished(unit, outcome, bool(reused)))


def _finished(unit: Unit, outcome: Outcome, reused: bool) -> Event:
    return Event(
        kind="finished",
        unit=unit.id,
        key=outcome.key,
        state=outcome.status,
        reason=outcome.reason,
        seconds=outcome.seconds,
        images=outcome.spent.images,
        price=outcome.spent.price,
        reused=reused,
    )


def _cause(error: Exception) -> str:
    if isinstance(error, AssayError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"


def _scratch(sync: str) -> Path:
    """A folder of this machine for a workspace that is kept elsewhere."""
    return Path(tempfile.gettempdir()) / f"assay-{digest_json(sync)[:16]}"
