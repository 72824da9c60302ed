"""Runs trials in this process, one after another."""

from __future__ import annotations

import errno
import platform
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

import torch
from pyarrow import ArrowException
from pydantic import ValidationError

from assay.access import Ledger, Oracle, WhiteBox
from assay.base.errors import AssayError, MethodError, TimeUpError, WorkspaceError
from assay.base.progress import Progress, silent
from assay.methods.check import check_finding
from assay.methods.finding import Finding
from assay.methods.method import Context, OracleMethod, WhiteBoxMethod
from assay.studies.outcome import Outcome, Status
from assay.studies.sanity import cautious
from assay.studies.trial import Trial
from assay.studies.workspace import Workspace

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
"""Errors of a full or read-only disk: no fault of the trial that meets them."""


def versions() -> dict[str, str]:
    """Versions that numbers depend on."""
    packages = {name: version(name) for name in ("modelassay", "torch", "numpy", "scipy", "scikit-learn")}
    return {"assay": packages.pop("modelassay"), "python": platform.python_version(), **packages}


class Ran:
    """What `run_trials` hands back: every outcome in the order asked, and how many were already there."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.reused = 0


def run_trials(trials: Sequence[Trial], workspace: Workspace, progress: Progress | None = None) -> Ran:
    """Run what is not finished yet. A trial that fails is recorded with its cause and does not stop the rest.

    Raises:
        WorkspaceError: if the workspace cannot be written; finished trials are kept.
    """
    progress = progress or silent()
    ran = Ran()
    for number, trial in enumerate(trials, start=1):
        label = f"[{number}/{len(trials)}] {trial.target.name}: {trial.method.name}"
        outcome, reused = run_trial(trial, workspace, progress, label)
        ran.outcomes.append(outcome)
        ran.reused += reused
    return ran


def run_trial(trial: Trial, workspace: Workspace, progress: Progress, label: str) -> tuple[Outcome, bool]:
    """Run a trial, and first the one that it builds on, unless they are finished; whether it was.

    Raises:
        WorkspaceError: if the workspace cannot be written.
    """
    if (finished := workspace.load(trial.key)) is not None:
        return finished, True
    if reason := trial.why_not():
        return _attempt(trial, workspace, "skipped", reason), False
    required = trial.required
    if required is not None:
        base, _ = run_trial(required, workspace, progress, label)
        if base.status != "done":
            reason = f"It builds on {required.method.name}, which was not done: {base.reason}"
            return _attempt(trial, workspace, base.status, reason), False
    with workspace.lock(trial.key):
        if (finished := workspace.load(trial.key)) is not None:
            return finished, True
        progress.say(label)
        return _measure(trial, workspace, progress), False


def _measure(trial: Trial, workspace: Workspace, progress: Progress) -> Outcome:
    started, clock = datetime.now(UTC), time.monotonic()
    folder = workspace.fresh_artefacts(trial.key)
    required = trial.required
    context = Context(
        seed=trial.seed,
        device=trial.target.device,
        artefacts=folder,
        shared=workspace.shared,
        progress=progress,
        provided=workspace.artefacts(required.key) if required else None,
        class_names=trial.target.class_names,
        weights=trial.target.weights_digest,
        modality=trial.target.modality,
    )
    access = _access(trial, workspace)
    try:
        beside = {each.role: each.open(context.shared, progress) for each in trial.companions}
        answer = _run_method(trial, access, replace(context, companions=beside))
        access.ledger.gradients += sum(box.ledger.gradients for box in beside.values())
        finding = check_finding(answer, trial.method.name, folder)
        outcome = _outcome(trial, "done", started, access.ledger, time.monotonic() - clock)
        return _keep(outcome, finding, workspace)
    except WorkspaceError:
        raise
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (error.title, *first["loc"])))
        what = f"{where}: {first['msg']} (it was {first['input']!r})"
        reason = f"{trial.method.name} reports what no finding may hold: {what}."
        return _attempt(trial, workspace, "failed", reason, access.ledger)
    except TimeUpError as error:
        return _attempt(trial, workspace, "skipped", str(error), access.ledger)
    except AssayError as error:
        return _attempt(trial, workspace, "failed", str(error), access.ledger)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise WorkspaceError(
                f"The workspace {workspace.path} cannot be used: {error.strerror}. What was measured before is kept."
            ) from error
        (folder / "traceback.txt").write_text(traceback.format_exc())
        reason = f"{type(error).__name__}: {error} (traceback in {folder})"
        return _attempt(trial, workspace, "failed", reason, access.ledger)


def _keep(outcome: Outcome, finding: Finding, workspace: Workspace) -> Outcome:
    """Save what a method found.

    Raises:
        MethodError: if it holds what no file can (NaN in a picture's numbers, samples of several types in one column).
        WorkspaceError: if the workspace cannot be written.
    """
    verdict = cautious(finding.verdict, outcome.target.sanity)
    found = {"metrics": finding.metrics, "verdict": verdict, "figures": finding.figures}
    try:
        return workspace.save(outcome.model_copy(update=found), finding.samples)
    except (ValueError, TypeError, ArrowException) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise MethodError(f"{outcome.method.name} reports what cannot be kept: {reason}.") from error


def _access(trial: Trial, workspace: Workspace) -> Oracle | WhiteBox:
    if trial.method.needs == "white-box":
        return WhiteBox(trial.target)
    return Oracle(trial.target, trial.serving, workspace.store(trial.target))


def _run_method(trial: Trial, access: Oracle | WhiteBox, context: Context) -> object:
    """What the method hands back, given its access and the parts of the data that it declares."""
    method = trial.method
    data = trial.target.splits.declared(method.parts + method.uses, method.name)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(trial.seed)
        if isinstance(method, WhiteBoxMethod) and isinstance(access, WhiteBox):
            return method.run(access, data, context)
        if isinstance(method, OracleMethod) and isinstance(access, Oracle):
            return method.run(access, data, context)
    raise MethodError(f"{method.name} is neither an OracleMethod nor a WhiteBoxMethod, by the access that it needs.")


def leave_out(trial: Trial, workspace: Workspace, reason: str) -> Outcome:
    """Record that a trial was not run, though it could have been."""
    return _attempt(trial, workspace, "skipped", reason)


def give_up(trial: Trial, workspace: Workspace, reason: str) -> Outcome:
    """Record that a trial failed for a reason that it could not tell itself: its process died, say."""
    return _attempt(trial, workspace, "failed", reason)


def _attempt(trial: Trial, workspace: Workspace, status: Status, reason: str, ledger: Ledger | None = None) -> Outcome:
    outcome = _outcome(trial, status, datetime.now(UTC), ledger or Ledger(), 0.0, reason)
    workspace.save_attempt(outcome)
    return outcome


def _outcome(
    trial: Trial,
    status: Status,
    started: datetime,
    ledger: Ledger,
    seconds: float,
    reason: str = "",
) -> Outcome:
    return Outcome(
        key=trial.key,
        status=status,
        reason=reason,
        target=trial.target_facts(),
        method=trial.method_facts(),
        serving=trial.resolved_serving,
        seed=trial.seed,
        spent=ledger.total(),
        seconds=round(seconds, 3),
        started=started,
        versions=versions(),
        device=str(trial.target.device),
    )
