"""Results from where they lie: a report's file, a workspace, or a folder of reports."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from assay.base.errors import NothingAssessedError, UsageError, WorkspaceError, nearest
from assay.reports.report import SCHEMA_VERSION, Report, assemble
from assay.studies.changes import read_changes
from assay.studies.workspace import Workspace

MARKER = "workspace.json"


class Result(NamedTuple):
    """The report of one target. ``artefacts`` holds a folder of files for each outcome; None where it is not known."""

    report: Report
    artefacts: Path | None = None


def load_results(path: Path) -> list[Result]:
    """The results at a path, by the target's name.

    Raises:
        WorkspaceError: if there is nothing at the path, or a report is damaged or of another version.
        NothingAssessedError: if the workspace or folder holds no result.
    """
    if path.is_file():
        return [_read(path)]
    if (path / MARKER).is_file():
        workspace = Workspace(path)
        known = workspace.outcomes()
        grouped = groupby(known, key=lambda outcome: (outcome.target.name, outcome.target.digest))
        targets = [list(outcomes) for _, outcomes in grouped]
        results = [
            Result(assemble(them, read_changes(path, them), peers=known), path / "artefacts") for them in targets
        ]
    elif path.is_dir():
        results = [_read(file) for file in sorted(path.rglob("report.json"))]
    else:
        raise WorkspaceError(f"There is no result at {path}: name a report.json, a workspace, or a folder of reports.")
    if not results:
        raise NothingAssessedError(f"{path} holds no result: there is neither a workspace nor a report.json in it.")
    return sorted(results, key=lambda result: (result.report.target.name, result.report.target.digest))


def one_report(path: Path, model: str | None = None) -> Report:
    """The only report at a path, or that of the named model.

    Raises:
        UsageError: if there are several to choose from, or none of that model.
        AssayError: see `load_results`.
    """
    reports = [result.report for result in load_results(path)]
    names = [report.target.name for report in reports]
    if model is not None and model not in names:
        raise UsageError(f"{path} holds no result for {model!r}: {nearest(model, names)}")
    chosen = [report for report in reports if model in (None, report.target.name)]
    if len(chosen) > 1:
        raise UsageError(f"{path} holds {len(chosen)} results ({', '.join(sorted(set(names)))}): say which --model.")
    return chosen[0]


def _read(file: Path) -> Result:
    try:
        report = Report.model_validate_json(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"The report {file} cannot be read: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WorkspaceError(
            f"{file} is not a report that this version of Assay reads: {where or 'the file'}: {first['msg']}."
        ) from None
    if report.schema_version != SCHEMA_VERSION:
        raise WorkspaceError(
            f"{file} is a report of version {report.schema_version}, and this version of Assay reads version "
            f"{SCHEMA_VERSION}: measure the model again."
        )
    home = next((folder for folder in file.resolve().parents if (folder / MARKER).is_file()), None)
    return Result(report, home / "artefacts" if home else None)
