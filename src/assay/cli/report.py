"""``assay report``: reports from what was measured before."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from assay.cli.audit import Out, show


def report(workspace: Annotated[Path, Parameter(help="Folder of outcomes.")], /, *, out: Out = None) -> int:
    """Write the reports of every target in a workspace again, without measuring anything."""
    from assay.api import Audit
    from assay.base.errors import NothingAssessedError, WorkspaceError
    from assay.studies import Workspace

    if not (workspace / "workspace.json").exists():
        raise WorkspaceError(f"{workspace} is not a workspace: it holds no workspace.json.")
    opened = Workspace(workspace)
    by_target = groupby(opened.outcomes(), key=lambda outcome: (outcome.target.name, outcome.target.digest))
    audits = [Audit(outcomes, opened, len(outcomes)) for _, group in by_target if (outcomes := list(group))]
    if not audits:
        raise NothingAssessedError(f"The workspace {workspace} holds no outcome yet.")
    return show(audits, out)
