"""Removes what interrupted runs left in a workspace and nobody needs."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from assay.base.locks import try_lock
from assay.studies.states import StudyFolder
from assay.studies.units import group_name
from assay.studies.workspace import Workspace, reported


class Pruned(NamedTuple):
    """What was removed."""

    files: int
    bytes: int


def prune(workspace: Workspace) -> Pruned:
    """Remove what is of no use.

    That is: artefacts of trials that neither finished nor failed, half-written files, and states of targets that no
    plan has any more. Finished trials, answers of targets and what trials share stay, and so does the quarantine.

    Raises:
        WorkspaceError: if one of its studies is being run, or the workspace cannot be written.
    """
    root = workspace.path
    studies = [StudyFolder(path.parent) for path in (root / "studies").glob("*/plan.json")]
    with ExitStack() as stack, reported(root):
        for study in studies:
            stack.enter_context(study.lock())
        useless = [file for folder in ("trials", "attempts") for file in (root / folder).glob(".*.json.*")]
        for study in studies:
            useless += _stale(study)
        useless += [folder for folder in (root / "artefacts").iterdir() if _abandoned(workspace, folder.name)]
        removed = [file for place in useless for file in ([place] if place.is_file() else place.rglob("*"))]
        size = sum(file.stat().st_size for file in removed if file.is_file())
        count = sum(file.is_file() for file in removed)
        for place in useless:
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink()
    return Pruned(count, size)


def _stale(study: StudyFolder) -> list[Path]:
    """Half-written files of a study, and states of targets that its plan has no more."""
    groups = {group_name([unit]) for unit in study.planned()}
    states = [file for file in (study.path / "states").glob("*.json") if file.stem not in groups]
    return [*states, *(file for file in study.path.rglob(".*.json.*") if file.is_file())]


def _abandoned(workspace: Workspace, key: str) -> bool:
    """Whether a trial's folder belongs to no outcome, and nobody is at work in it."""
    if any((workspace.path / kind / f"{key}.json").exists() for kind in ("trials", "attempts")):
        return False
    lock = workspace.path / "locks" / key
    if not lock.exists():
        return True
    with lock.open() as file:
        return try_lock(file)
