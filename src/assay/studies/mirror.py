"""A copy of a workspace's truth at an address that fsspec knows, for workers that do not see its folder."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from assay.base.errors import UsageError, WorkspaceError
from assay.studies.outcome import Outcome
from assay.studies.trial import Trial
from assay.studies.workspace import Workspace


class Mirror:
    """Finished trials, last attempts and answers of targets, copied both ways, trial by trial.

    A trial's files go first and its truth file last, so that whoever finds the truth finds all of it. What trials share
    (shadow models) is not copied: each machine makes it anew, to the same numbers.
    """

    def __init__(self, address: str, workspace: Workspace) -> None:
        """Set up between an address (``s3://bucket/study``, ``file:///mnt/study``) and a workspace on this machine.

        Raises:
            UsageError: if fsspec or what it needs for the address is not installed, or it does not know the address.
        """
        try:
            self.files, root = import_module("fsspec.core").url_to_fs(address)
        except ImportError as error:
            raise UsageError(f"{address} needs a package that is not installed: {error}.") from None
        except ValueError as error:
            raise UsageError(f"{address} is not an address that fsspec knows: {error}.") from None
        self.address, self.root = address, str(root).rstrip("/")
        self.workspace = workspace

    def fetch(self, trial: Trial) -> None:
        """Bring what is known of a trial, of those it builds on and of its target's answers."""
        self._bring(Path("stores") / f"{trial.target.digest}.logits")
        step: Trial | None = trial
        while step is not None:
            self.bring(step.key)
            step = step.required

    def publish(self, trial: Trial) -> None:
        """Send a trial's outcome, those it builds on, and its target's answers."""
        chain = [trial]
        while (required := chain[-1].required) is not None:
            chain.append(required)
        self._send(Path("stores") / f"{trial.target.digest}.logits")
        for step in reversed(chain):
            outcome = self.workspace.load(step.key)
            if outcome is None:
                self._send(Path("attempts") / f"{step.key}.json")
                continue
            for name in outcome.artefacts:
                self._send(Path("artefacts") / step.key / name)
            self._send(Path("trials") / f"{step.key}.json")

    def bring(self, key: str) -> Outcome | None:
        """Bring one trial, unless it is here already."""
        if (known := self.workspace.load(key)) is not None:
            return known
        truth = Path("trials") / f"{key}.json"
        if not self._exists(truth):
            self._bring(Path("attempts") / f"{key}.json")
            return None
        folder = f"{self.root}/artefacts/{key}"
        with self._reported():
            names = self.files.find(folder) if self.files.exists(folder) else []
        for name in names:
            inside = Path("artefacts") / key / str(name)[str(name).index(key) + len(key) + 1 :]
            self._bring(inside)
        self._bring(truth)
        return self.workspace.load(key)

    def _exists(self, place: Path) -> bool:
        with self._reported():
            return bool(self.files.exists(f"{self.root}/{place.as_posix()}"))

    def _send(self, place: Path) -> None:
        here = self.workspace.path / place
        if not here.is_file():
            return
        there = f"{self.root}/{place.as_posix()}"
        with self._reported():
            self.files.makedirs(there.rpartition("/")[0], exist_ok=True)
            partial = f"{there}.partial"
            self.files.put_file(str(here), partial)
            self.files.mv(partial, there)

    def _bring(self, place: Path) -> None:
        if not self._exists(place):
            return
        here = self.workspace.path / place
        here.parent.mkdir(parents=True, exist_ok=True)
        partial = here.with_name(f".{here.name}.partial")
        with self._reported():
            self.files.get_file(f"{self.root}/{place.as_posix()}", str(partial))
        partial.replace(here)

    def _reported(self) -> _Reported:
        return _Reported(self.address)


class _Reported:
    """Errors of a remote file system are of whatever client it uses."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            raise WorkspaceError(
                f"{self.address} cannot be used: {error}. What was measured before is kept."
            ) from error
