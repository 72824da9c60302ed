"""RobustBench's ``model_info`` files: one JSON object a model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from assay.base.errors import LoadError
from assay.catalogue.entry import Entry, Source, listing, make_entry
from assay.catalogue.importers.imported import Imported
from assay.catalogue.names import dataset_name
from assay.catalogue.sources.addresses import arxiv_id

VENUES = {
    "CV": ("CVPR", "ICCV", "ECCV", "BMVC", "WACV"),
    "ML": ("NeurIPS", "ICML", "ICLR", "AAAI", "TMLR", "IJCAI"),
    "security": ("CCS", "NDSS", "USENIX Security", "SaTML"),
    "arXiv": ("arXiv",),
}
ACCURACIES = {"autoattack_acc": "AutoAttack", "external": "adaptive attack", "corruptions_acc": "common corruptions"}


def read(path: Path) -> Imported:
    """A file, or every ``*.json`` below a folder laid out as ``dataset/threat/NAME.json``.

    Raises:
        LoadError: if a file is not JSON, or lacks its data set or name.
    """
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    if not files:
        raise LoadError(f"{path} holds no JSON files.")
    return Imported(listing(Source(name="robustbench-info", title="RobustBench model_info"), map(_entry, files)))


def _entry(file: Path) -> Entry:
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
        dataset = dataset_name(info["dataset"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise LoadError(f"{file.name} is not a RobustBench model_info file: {error!r}.") from error
    threat, folder = file.parent.name, file.parent.parent.name
    venue, year = _venue(str(info.get("venue") or ""))
    attack = next((name for key, name in ACCURACIES.items() if _share(info.get(key)) is not None), None)
    robust = next((share for key in ACCURACIES if (share := _share(info.get(key))) is not None), None)
    eps = f" eps {info['eps']}" if info.get("eps") not in (None, "null") else ""
    values = {
        "id": f"robustbench-info/{folder}/{threat}/{file.stem}",
        "same_as": (f"robustbench/{folder}/{threat}/{file.stem}",),
        "task": "image classification",
        "dataset": dataset,
        "architecture": info.get("architecture"),
        "purpose": "security",
        "paper": arxiv_id(info.get("link")) or info.get("link"),
        "venue": venue,
        "venue_type": next((kind for kind, names in VENUES.items() if venue in names), "other" if venue else None),
        "year": year,
        "authors": len([name for name in str(info.get("authors") or "").split(",") if name.strip()]) or None,
        "top1": _share(info.get("clean_acc")),
        "evaluated_on": f"{dataset} {'validation' if dataset == 'imagenet-1k' else 'test'}" if dataset else None,
        "robust_accuracy": robust,
        "threat": f"{threat}{eps}, {attack}"
        if attack and attack != ACCURACIES["corruptions_acc"]
        else attack or threat,
    }
    return make_entry(file.name, values)


def _venue(text: str) -> tuple[str | None, int | None]:
    """``NeurIPS 2019`` and ``arXiv, Jun 2020``, in parts."""
    year = re.search(r"\b(19|20)\d\d\b", text)
    name = re.split(r"[,\d]", text)[0].strip()
    return name if name not in ("", "N/A") else None, int(year[0]) if year else None


def _share(value: Any) -> float | None:
    """A percentage as a share; None where there is none."""
    try:
        return round(float(value) / 100, 5)
    except (TypeError, ValueError):
        return None
