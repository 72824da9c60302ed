"""The ONNX hub's manifest: a list of models with digests and shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from assay.base.errors import LoadError
from assay.catalogue.entry import Entry, Source, listing, make_entry
from assay.catalogue.importers.imported import Imported

FILE = "ONNX_HUB_MANIFEST.json"
ADDRESS = "https://github.com/onnx/models/raw/main/"


def read(path: Path) -> Imported:
    """The manifest's image classifiers.

    Raises:
        LoadError: if it is not JSON, or an object lacks what every object has; the message names which.
    """
    try:
        models = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise LoadError(f"{path.name} is not JSON: {error}.") from error
    if not isinstance(models, list):
        raise LoadError(f"{path.name} is not an ONNX hub manifest: a list of models was expected.")
    found = []
    for place, model in enumerate(models):
        try:
            if "classification" in model["metadata"]["tags"]:
                found.append(_entry(f"{path.name}, model {place}", model))
        except (KeyError, TypeError) as error:
            raise LoadError(f"{path.name}, model {place} lacks {error}.") from error
    return Imported(listing(Source(name="onnx-hub", title="ONNX hub"), found))


def _entry(where: str, model: dict[str, Any]) -> Entry:
    """One model. Of its inputs' shapes only complete ones (batch, channels, height, width) are taken."""
    metadata = model["metadata"]
    ports = metadata.get("io_ports") or {}
    file = model["model_path"]
    outputs = [port["shape"] for port in ports.get("outputs") or ()]
    values = {
        "id": f"onnx-hub/{Path(file).stem}",
        "task": "image classification",
        "architecture": model["model"],
        "input": next((shape for port in ports.get("inputs") or () if (shape := _size(port["shape"]))), None),
        "classes": _classes(outputs),
        "purpose": "benchmark",
        "weights_url": ADDRESS + file,
        "weights_digest": f"sha256:{metadata['model_sha']}",
        "weights_bytes": metadata.get("model_bytes"),
        "format": "onnx",
    }
    return make_entry(where, values)


def _size(shape: list[Any]) -> tuple[int, ...] | None:
    sizes = tuple(shape[1:])
    return sizes if len(sizes) == 3 and all(isinstance(n, int) and n > 0 for n in sizes) else None


def _classes(shapes: list[list[Any]]) -> int | None:
    """The width of the only output, where it has one."""
    if len(shapes) != 1 or not shapes[0] or not all(isinstance(n, int) for n in shapes[0][1:]):
        return None
    widths = [n for n in shapes[0][1:] if n > 1]
    return widths[0] if len(widths) == 1 else None
