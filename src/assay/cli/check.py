"""``assay catalogue check``: public models loaded from their published files, and measured again."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

POINTS = 1.0
"""The most by which an accuracy may differ from the recorded one, in percentage points."""


def check(
    *references: Annotated[str, Parameter(help="Catalogue ids; 'akamaster/*' matches several. All, if none is given.")],
    device: Annotated[str, Parameter(help="cpu, cuda or auto.")] = "auto",
) -> int:
    """Load models and measure their accuracy; a Markdown table. Exit code 2 if one differs by more than a point."""
    from assay.api import expand
    from assay.base.errors import AssayError
    from assay.base.progress import on_console
    from assay.targets.check import check_model, markdown_table

    progress = on_console()
    rows, failed = [], False
    for reference in expand(references or ("*",)):
        try:
            rows.append(check_model(reference, device=device, progress=progress))
        except AssayError as error:
            failed = True
            progress.say(f"{reference}: {error}")
    print(markdown_table(rows), end="")
    off = [row.id for row in rows if row.difference is not None and abs(row.difference) > POINTS]
    if off:
        progress.say(f"More than {POINTS:g} point from what is recorded: {', '.join(off)}.")
    return 2 if failed or off else 0
