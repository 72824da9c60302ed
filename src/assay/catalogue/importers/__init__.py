"""Importers of third-party files, one module per kind; each returns entries, and measurements if there are any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from assay.base.errors import UsageError, nearest
from assay.catalogue.importers import model_card, onnx_hub, robustbench, securitynet, timm_results
from assay.catalogue.importers.imported import Imported

IMPORTERS: dict[str, Callable[[Path], Imported]] = {
    "securitynet": securitynet.read,
    "robustbench": robustbench.read,
    "timm-results": timm_results.read,
    "onnx-hub": onnx_hub.read,
    "model-card": model_card.read,
}


def read_file(path: Path, kind: str | None = None) -> Imported:
    """Read a file (for RobustBench also a folder). Without ``kind`` it is guessed from the name and content.

    Raises:
        UsageError: if the kind is unknown, the file is not there, or it looks like none of them.
        LoadError: if the file is not what its kind should be; the message names the line or the field.
    """
    if not path.exists():
        raise UsageError(f"There is no file {path}.")
    name = kind or _recognise(path)
    if name not in IMPORTERS:
        raise UsageError(f"Files of the kind {name!r} cannot be imported: {nearest(name, IMPORTERS)}")
    return IMPORTERS[name](path)


def _recognise(path: Path) -> str:
    if path.is_dir() or (path.suffix == ".json" and path.name != onnx_hub.FILE):
        return "robustbench"
    if path.name == onnx_hub.FILE:
        return "onnx-hub"
    start = path.read_text(encoding="utf-8", errors="replace")[:4000]
    if path.suffix == ".csv" and start.startswith("model,"):
        return "timm-results"
    if securitynet.HEADING in start:
        return "securitynet"
    if start.startswith("---"):
        return "model-card"
    kinds = ", ".join(IMPORTERS)
    raise UsageError(f"{path.name} does not look like any file that can be imported; say which with --kind ({kinds}).")
