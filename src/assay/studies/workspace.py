"""Where outcomes live: one immutable JSON file per finished trial is the truth; everything else can be rebuilt."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from assay.base.digests import canonical_json, digest_file
from assay.base.errors import WorkspaceError
from assay.base.files import TEMPORARY, sync, sync_tree, write_text
from assay.base.locks import lock
from assay.studies.outcome import Outcome, read_trial, trial_text

if TYPE_CHECKING:
    from assay.access import PosteriorStore
    from assay.methods.finding import Samples
    from assay.targets.target import Target

FORMAT = 2
"""Goes up with the form of what is kept; a workspace of another format is refused, and left as it is."""


class Workspace:
    """A folder of outcomes.

    ``trials/KEY.json`` are the finished trials, ``artefacts/KEY/`` their files, ``attempts/KEY.json`` the last failed
    or skipped attempt of a trial that is not finished, ``stores/`` the answers of targets, ``shared/`` what trials
    share, and ``quarantine/`` what was found damaged.
    """

    def __init__(self, path: Path | str, *, shared: Workspace | None = None) -> None:
        """Open a workspace, or make one; with ``shared``, the answers and what trials share are another workspace's.

        Raises:
            WorkspaceError: if it cannot be written, is another program's folder, or has another format.
        """
        self.path = Path(path)
        home = shared or self
        self.shared, self._stores = home.path / "shared", home.path / "stores"
        with reported(self.path):
            self._claim()
            for folder in ("trials", "attempts", "artefacts", "shared", "stores", "locks"):
                if not (self.path / folder).is_dir():
                    (self.path / folder).mkdir(parents=True, exist_ok=True)
                    sync(self.path)

    def _claim(self) -> None:
        marker = self.path / "workspace.json"
        if marker.exists():
            try:
                found = json.loads(marker.read_text())["format"]
            except (ValueError, KeyError, TypeError):
                raise WorkspaceError(f"{marker} is damaged; restore it, or use another workspace.") from None
            if found != FORMAT:
                raise WorkspaceError(
                    f"The workspace {self.path} has format {found}, and this version of Assay reads format {FORMAT}; "
                    "use the version that wrote it, or another workspace."
                )
            return
        if self.path.exists() and (not self.path.is_dir() or _holds_something(self.path)):
            raise WorkspaceError(f"{self.path} exists and is not a workspace; name an empty or a new folder.")
        self.path.mkdir(parents=True, exist_ok=True)
        sync(self.path.parent)
        write_text(marker, canonical_json({"format": FORMAT}))

    def _trial_keys(self) -> list[str]:
        return [file.stem for file in (self.path / "trials").glob("*.json")]

    def artefacts(self, key: str) -> Path:
        """The folder of a trial's files."""
        return self.path / "artefacts" / key

    def store(self, target: Target) -> PosteriorStore:
        """The answers of a target."""
        from assay.access import PosteriorStore

        return PosteriorStore(self._stores / f"{target.digest}.logits", target.num_classes)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Keep other processes from running the same trial; waits for one that does."""
        with reported(self.path), (self.path / "locks" / key).open("w") as file:
            lock(file)
            yield

    def load(self, key: str) -> Outcome | None:
        """A finished trial, or None. A damaged or edited file is moved to the quarantine, and None returned.

        In a workspace that cannot be written it stays where it is.
        """
        file = self.path / "trials" / f"{key}.json"
        try:
            outcome = read_trial(file)
        except FileNotFoundError:
            return None
        if outcome is None:
            quarantine = self.path / "quarantine"
            with suppress(OSError):
                quarantine.mkdir(exist_ok=True)
                file.replace(quarantine / file.name)
        return outcome

    def save(self, outcome: Outcome, samples: Samples) -> Outcome:
        """Keep a finished trial: its samples, the digests of its files, and last the outcome itself.

        Raises:
            WorkspaceError: if the disk is full or read-only; no half-finished trial is left.
        """
        from assay.studies.samples import SAMPLES, write_samples

        folder = self.artefacts(outcome.key)
        with reported(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            if len(samples):
                write_samples(samples, folder / SAMPLES)
            sync_tree(folder)  # what is vouched for must be there when what vouches is
            files = {
                file.relative_to(folder).as_posix(): digest_file(file)
                for file in sorted(folder.rglob("*"))
                if file.is_file()
            }
            outcome = outcome.model_copy(update={"artefacts": files})
            write_text(self.path / "trials" / f"{outcome.key}.json", trial_text(outcome))
            (self.path / "attempts" / f"{outcome.key}.json").unlink(missing_ok=True)
        return outcome

    def save_attempt(self, outcome: Outcome) -> None:
        """Remember a failed or skipped attempt, for the report; the next attempt replaces it."""
        with reported(self.path):
            write_text(self.path / "attempts" / f"{outcome.key}.json", outcome.model_dump_json(indent=1) + "\n")

    def outcomes(self) -> list[Outcome]:
        """All finished trials, and the last attempts of the unfinished, by target name, family and method.

        Attempts whose file is damaged are left out: they say nothing that a new attempt would not.
        """
        finished = [outcome for key in self._trial_keys() if (outcome := self.load(key)) is not None]
        attempts = [read_trial(file, sealed=False) for file in (self.path / "attempts").glob("*.json")]
        known = finished + [attempt for attempt in attempts if attempt is not None]
        return sorted(known, key=lambda o: (o.target.name, o.method.family, o.method.name, o.seed, o.key))

    def fresh_artefacts(self, key: str) -> Path:
        """An empty folder for a trial that starts now; what an interrupted run left there is removed."""
        folder = self.artefacts(key)
        with reported(self.path):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        return folder


def _holds_something(folder: Path) -> bool:
    """Whether a folder holds more than what was left where making a workspace was interrupted."""
    return any(not file.name.endswith(TEMPORARY) for file in folder.iterdir())


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn errors of the operating system into a sentence about the workspace at ``path``.

    Raises:
        WorkspaceError: for any of them.
    """
    try:
        yield
    except OSError as error:
        raise WorkspaceError(
            f"The workspace {path} cannot be used: {error.strerror or error}. What was measured before is kept."
        ) from error
