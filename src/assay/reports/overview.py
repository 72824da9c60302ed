"""Several targets on one page: models against questions."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from assay.base.errors import NothingAssessedError
from assay.methods.metric import FAMILIES, OPTIONAL, Family
from assay.reports.decision import CHOICES, DEFAULT, profile_named
from assay.reports.pages import render
from assay.reports.report import Report, save
from assay.reports.wording import LEVELS, AnswerLevel


def write_overview(reports: Mapping[Path, Report], path: Path, profile: str = DEFAULT) -> None:
    """Write one page with a row for each report, linked by relative addresses to where the reports lie.

    ``profile`` is the way of publishing that decides; what to fix comes first.

    Raises:
        NothingAssessedError: if there is no report.
        WorkspaceError: if the file cannot be written.
    """
    if not reports:
        raise NothingAssessedError("There is no report to compare.")
    asked = [
        family
        for family in FAMILIES
        if family not in OPTIONAL or any(answer.family == family for r in reports.values() for answer in r.answers)
    ]
    save(
        path,
        render(
            "overview.html",
            rows=[
                (_address(file, path.parent), report, report.decision(profile))
                for file, report in sorted(reports.items(), key=lambda item: _order(item[1], profile))
            ],
            profile=profile_named(profile),
            asked=asked,
            tallies={family: _tally(family, reports) for family in asked},
            until=max(report.measured_until for report in reports.values()),
        ),
    )


def _order(report: Report, profile: str) -> int:
    return CHOICES.index(report.decision(profile).choice)


def _address(file: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(file, folder)).as_posix())


def _tally(family: Family, reports: Mapping[Path, Report]) -> dict[AnswerLevel, int]:
    found = Counter(answer.level for report in reports.values() for answer in report.answers if answer.family == family)
    return {level: found[level] for level in LEVELS if found[level]}
