"""A target file as text, from what was inferred."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.base.errors import UsageError
from assay.base.files import write_text
from assay.data.formats.registry import DATASETS, Named
from assay.targets.hugging_face.hub import PREFIX
from assay.targets.target_file import TargetFile

KEYS = ("name", "weights", "format", "architecture", "num_classes", "input_shape", "preprocessing", "data")


def write_target_file(out: Path, described: TargetFile, data: str, notes: Mapping[str, str]) -> None:
    """Write a target file, with notes by key as comments; paths become relative to its folder.

    Raises:
        UsageError: if its folder is not there.
    """
    folder = out.resolve().parent
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder} to write {out.name} to.")
    write_text(out, _text(described, data, notes, folder))


def _text(described: TargetFile, data: str, notes: Mapping[str, str], folder: Path) -> str:
    content = described.model_dump(mode="json", exclude_defaults=True)
    weights = described.weights or ""
    content["weights"] = weights if weights.startswith(PREFIX) else _relative(weights, folder)
    content["data"] = data if isinstance(dict(DATASETS.items()).get(data), Named) else _relative(data, folder)
    content.setdefault("name", Path(weights).stem)
    lines = ["# Written by `assay init`. What a comment says was inferred: correct it where it is wrong.", ""]
    for key in KEYS:
        if key in notes:
            lines.append(f"# {key}: {notes[key]}")
        if key in content:
            lines.append(f"{key} = {_toml(content[key])}")
    return "\n".join([*lines, "# expected_accuracy = 0.9    # what you measured on unseen data: it is checked", ""])


def _relative(path: str, folder: Path) -> str:
    whole, mark, query = path.partition("?")
    return Path(os.path.relpath(Path(whole).expanduser().resolve(), folder)).as_posix() + mark + query


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
