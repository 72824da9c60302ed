"""Writing a report's files."""

from __future__ import annotations

from pathlib import Path

from assay.base.errors import WorkspaceError
from assay.base.files import write_text


def save(path: Path, text: str) -> None:
    """Write a file whole or not at all, and make its folder.

    Raises:
        WorkspaceError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise WorkspaceError(f"The report {path} cannot be written: {error.strerror or error}.") from error
