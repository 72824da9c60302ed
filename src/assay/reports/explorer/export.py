"""From a workspace and the catalogue to the explorer's folder, again and again while a study is running."""

from __future__ import annotations

import gc
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from assay.analysis.claims import load_claims
from assay.analysis.position import FEWEST
from assay.catalogue.catalogue import Catalogue, load_catalogue
from assay.methods.metric import FAMILIES
from assay.reports.explorer.folder import Folder
from assay.reports.explorer.models import NUMBERS, Model, gather, page, report_of, table
from assay.reports.explorer.progress import listing, studies, summary
from assay.reports.explorer.protocols import Protocols, protocols
from assay.reports.explorer.reading import Reader
from assay.reports.format import count, date
from assay.reports.report import Report
from assay.reports.wording import LEVELS, MEANINGS, QUESTIONS

PARTS = 128
"""Files that the models' pages are divided among, by a digest of the model's key."""

CLAIM = (
    "id",
    "paper",
    "statement",
    "source",
    "published",
    "test",
    "rule",
    "written",
    "recomputed",
    "own",
    "measured",
    "why",
)


class Exported(NamedTuple):
    """What an export found: models with outcomes, trials, damaged files; and how many data files it wrote."""

    models: int
    trials: int
    damaged: int
    written: int

    @property
    def sentence(self) -> str:
        """In words."""
        found = f"{count(self.trials, 'trial')} of {count(self.models, 'model')}"
        return found + (f"; {count(self.damaged, 'damaged file')} left out" if self.damaged else "") + "."


class Exporter:
    """Exports one workspace to one folder. What has not changed since the last export is not read or written again."""

    def __init__(self, workspace: Path, folder: Path | None = None, catalogue: Catalogue | None = None) -> None:
        """An exporter; by default to ``explorer`` in the workspace, with everything that the catalogue knows.

        Raises:
            WorkspaceError: if there is no such workspace, or the folder holds something else.
        """
        self.reader = Reader(workspace)
        self.folder = Folder(folder or workspace / "explorer")
        self.catalogue = catalogue or load_catalogue()
        self._protocols: dict[str, str] = {}
        self._pages: dict[str, tuple[tuple[Any, ...], Report | None, dict[str, Any]]] = {}

    def export(self, live: bool = False) -> Exported:
        """Bring the folder up to date. ``live`` tells its pages to look for changes.

        Raises:
            WorkspaceError: if the workspace cannot be read, or the folder not be written.
        """
        with _without_collector():
            return self._export(live)

    def _export(self, live: bool) -> Exported:
        contents = self.reader.read()
        models = gather(contents.outcomes.values(), self.catalogue)
        found = protocols(models, self._protocols)
        reports = self._describe(models, found)
        done = [outcome for outcome in contents.outcomes.values() if outcome.status == "done"]
        site = {
            "workspace": self.reader.workspace.resolve().name,
            "version": version("modelassay"),
            "until": date(max(outcome.started for outcome in done)) if done else "",
            "trials": len(contents.outcomes),
            "damaged": list(contents.damaged),
            "parts": PARTS,
            "fewest": FEWEST,
            "families": [[family, QUESTIONS[family]] for family in FAMILIES],
            "levels": [[level, MEANINGS[level]] for level in LEVELS],
            "numbers": [[name, title] for name, title in NUMBERS.items()],
        }
        data: dict[str, Any] = {"site": site, "models": table(models, reports) | {"part": self._parts(models)}}
        data |= self._model_files(models)
        data["protocols"] = found.described
        data |= {f"protocol-{name}": columns for name, columns in found.columns.items()}
        data |= self._study_files(models)
        data["claims"] = self._claims
        written = self.folder.write(data, live)
        return Exported(sum(bool(model.outcomes) for model in models), len(done), len(contents.damaged), written)

    @cached_property
    def _claims(self) -> list[dict[str, Any]]:
        """The ledger, judged once: it does not depend on the workspace."""
        return [{name: getattr(claim, name) for name in CLAIM} for claim in load_claims()]

    def _describe(self, models: Sequence[Model], found: Protocols) -> dict[str, Report]:
        """The reports of the assessed models; reports and pages are made again only where an outcome is new."""
        known, self._pages = self._pages, {}
        for model in models:
            marks = tuple((outcome.key, outcome.status, outcome.started) for outcome in model.outcomes)
            old = known.get(model.key)
            if old is None or old[0] != marks:
                report = report_of(model)
                old = (marks, report, page(model, report, found.of))
            self._pages[model.key] = old
        return {key: report for key, (_, report, _) in self._pages.items() if report is not None}

    def _parts(self, models: Sequence[Model]) -> list[int]:
        return [_part(model.key) for model in models]

    def _model_files(self, models: Sequence[Model]) -> dict[str, dict[str, Any]]:
        files: dict[str, dict[str, Any]] = defaultdict(dict)
        for model in models:
            files[f"models-{_part(model.key)}"][model.key] = self._pages[model.key][2]
        return files

    def _study_files(self, models: Sequence[Model]) -> dict[str, Any]:
        found = studies(self.reader.workspace, models)
        files: dict[str, Any] = {f"units-{place}": listing(study) for place, study in enumerate(found)}
        return files | {"studies": [summary(study, f"units-{place}") for place, study in enumerate(found)]}


@contextmanager
def _without_collector() -> Iterator[None]:
    """No search for reference cycles: among millions of small objects without any it takes half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _part(key: str) -> int:
    return hashlib.sha256(key.encode()).digest()[0] % PARTS
