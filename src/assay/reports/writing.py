"""Where reports are written: a folder for each target, and a page over several."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from assay.base.errors import NothingAssessedError
from assay.reports.decision import DEFAULT
from assay.reports.report import Report, write_json
from assay.reports.results import Result

_LONGEST = 150
"""Bytes of a folder's name; file systems take 255, and `own_folder` adds some."""


def write_report(report: Report, artefacts: Path, folder: Path, profile: str = DEFAULT) -> Path:
    """Write ``report.html`` and ``report.json`` to a folder, and return the page's path.

    ``profile`` is the way of publishing that the page decides for.

    Raises:
        WorkspaceError: if they cannot be written.
    """
    from assay.reports.html import write_html

    write_json(report, folder / "report.json")
    write_html(report, artefacts, folder / "report.html", profile)
    return folder / "report.html"


def write_reports(
    results: Sequence[Result], workspace: Path, folder: Path | None = None, profile: str = DEFAULT
) -> Path:
    """Write every report, and for more than one an overview that links to them; return the page to open first.

    A single report goes to ``folder``; several go to subfolders of it. By default they go to ``reports`` in the
    workspace, each in the folder of `own_folder`. ``profile`` is the way of publishing that the pages decide for.

    Raises:
        NothingAssessedError: if nothing was assessed.
        WorkspaceError: if a file cannot be written.
    """
    outcomes = [outcome for result in results for outcome in result.report.outcomes]
    if not any(outcome.status == "done" for outcome in outcomes):
        reasons = sorted({outcome.reason for outcome in outcomes})
        raise NothingAssessedError(f"Nothing was assessed. {' '.join(reasons)}".rstrip())
    home = folder or workspace / "reports"
    pages = {}
    for result in results:
        place = folder if folder and len(results) == 1 else own_folder(result.report, home)
        page = write_report(result.report, result.artefacts or workspace / "artefacts", place, profile)
        pages[page] = result.report
    if len(pages) == 1:
        return next(iter(pages))
    from assay.reports.overview import write_overview

    write_overview(pages, home / "index.html", profile)
    return home / "index.html"


def own_folder(report: Report, home: Path) -> Path:
    """A report's folder in ``home``: by its target's name, and its digest where another target's report lies there."""
    plain = home / slug(report.target.name)
    return plain if _digest_in(plain) in (None, report.target.digest) else Path(f"{plain}-{report.target.digest[:8]}")


def slug(name: str) -> str:
    """A name as a folder name; a long one is cut, and ends in digits of its digest."""
    plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-.") or "target"
    if len(plain.encode()) <= _LONGEST:
        return plain
    cut = plain.encode()[:_LONGEST].decode("utf-8", "ignore")
    return f"{cut}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def _digest_in(folder: Path) -> str | None:
    """The digest of the target whose report lies in a folder; None without one, "" where it cannot be read."""
    try:
        return str(json.loads((folder / "report.json").read_text("utf-8"))["target"]["digest"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return ""
