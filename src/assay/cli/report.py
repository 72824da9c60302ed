"""``assay report``: reports from what was measured before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from assay.cli.audit import DEFAULT_PROFILE, Out, Profile


def report(
    workspace: Annotated[Path, Parameter(help="Folder of outcomes.")],
    /,
    *,
    out: Out = None,
    profile: Profile = DEFAULT_PROFILE,
) -> int:
    """Write the reports of every target in a workspace again, without measuring anything."""
    from rich.console import Console

    from assay.base.errors import NothingAssessedError, WorkspaceError
    from assay.reports.previous import beside, earlier
    from assay.reports.results import load_results
    from assay.reports.terminal import print_summary
    from assay.reports.writing import write_reports

    if not (workspace / "workspace.json").exists():
        raise WorkspaceError(f"{workspace} is not a workspace: it holds no workspace.json.")
    try:
        results = load_results(workspace)
    except NothingAssessedError:
        raise NothingAssessedError(f"The workspace {workspace} holds no outcome yet.") from None
    known = [outcome for result in results for outcome in result.report.outcomes]
    results = [result._replace(report=beside(result, earlier(result, known))) for result in results]
    console, first = Console(), write_reports(results, workspace, out, profile)
    for result in results:
        print_summary(result.report, console, profile=profile)
    console.print(f"Report: {first}", highlight=False, soft_wrap=True)
    failed = any(outcome.status == "failed" for result in results for outcome in result.report.outcomes)
    return 2 if failed else 0
