"""``assay report``: reports from what was measured before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from assay.cli.audit import Out


def report(workspace: Annotated[Path, Parameter(help="Folder of outcomes.")], /, *, out: Out = None) -> int:
    """Write the reports of every target in a workspace again, without measuring anything."""
    from assay.api import write_reports
    from assay.base.errors import WorkspaceError
    from assay.studies import Workspace

    if not (workspace / "workspace.json").exists():
        raise WorkspaceError(f"{workspace} is not a workspace: it holds no workspace.json.")
    opened = Workspace(workspace)
    return write_reports(opened.outcomes(), opened, out)
