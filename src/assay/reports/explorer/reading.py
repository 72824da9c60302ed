"""The trials of a workspace, read without changing it, again and again while a study writes to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from assay.base.errors import WorkspaceError
from assay.studies.outcome import Outcome, read_trial

Stamp = tuple[int, int]
"""A file's time of change, in nanoseconds, and its size."""


@dataclass(frozen=True)
class Contents:
    """Outcomes by key, without their figures, and the names of the truth files that are damaged."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()


class Reader:
    """Reads each file once: of a workspace that grows, only what is new."""

    def __init__(self, workspace: Path) -> None:
        """A reader of one workspace.

        Raises:
            WorkspaceError: if the folder is not a workspace.
        """
        if not (workspace / "workspace.json").is_file():
            raise WorkspaceError(f"{workspace} is not a workspace: it holds no workspace.json.")
        self.workspace = workspace
        self._known: dict[Path, tuple[Stamp, Outcome | None]] = {}

    def read(self) -> Contents:
        """What is there now. Damaged files are named, and left where they are.

        Raises:
            WorkspaceError: if the workspace cannot be read.
        """
        try:
            trials = dict(self._read("trials"))
            attempts = dict(self._read("attempts"))
        except OSError as error:
            raise WorkspaceError(
                f"The workspace {self.workspace} cannot be read: {error.strerror or error}."
            ) from error
        present = trials.keys() | attempts.keys()
        self._known = {file: known for file, known in self._known.items() if file in present}
        found = [outcome for outcome in (*attempts.values(), *trials.values()) if outcome is not None]
        damaged = [file for files in (trials, attempts) for file, outcome in files.items() if outcome is None]
        names = sorted(file.relative_to(self.workspace).as_posix() for file in damaged)
        return Contents({outcome.key: outcome for outcome in found}, tuple(names))

    def _read(self, folder: str) -> Iterator[tuple[Path, Outcome | None]]:
        place = self.workspace / folder
        if not place.is_dir():
            return
        for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
            if not entry.name.endswith(".json") or entry.name.startswith("."):
                continue
            file = Path(entry.path)
            try:
                state = entry.stat()
                stamp = (state.st_mtime_ns, state.st_size)
                if file not in self._known or self._known[file][0] != stamp:
                    self._known[file] = (stamp, read_trial(file, sealed=folder == "trials", figures=False))
            except FileNotFoundError:
                continue  # an attempt that has become a finished trial in the meantime
            yield file, self._known[file][1]
