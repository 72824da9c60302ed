"""``assay explore``: a workspace as pages to look through."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def explore(
    workspace: Annotated[Path, Parameter(help="A folder of outcomes; a study may be writing to it.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Folder for the pages [default: explorer, in the workspace].")] = None,
    serve: Annotated[bool, Parameter(help="Show it on this machine, and follow the workspace.", negative="")] = False,
    port: Annotated[int, Parameter(help="For --serve; 0 takes a free one.")] = 0,
    every: Annotated[float, Parameter(help="For --serve: seconds between two looks at the workspace.")] = 5.0,
) -> None:
    """Models, studies, comparisons and correlations as one folder that opens in a browser, without a server."""
    from rich.console import Console

    from assay.reports.explorer.export import Exporter
    from assay.reports.explorer.serve import serve as show

    console = Console(soft_wrap=True, highlight=False, markup=False)
    exporter = Exporter(workspace, out)
    if serve:
        show(exporter, port, every, console.print)
    else:
        console.print(exporter.export().sentence)
        console.print(f"Explorer: {exporter.folder.path / 'index.html'}")
