"""A Hugging Face model card: facts in the YAML between its two ``---`` lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from assay.base.errors import LoadError, UsageError
from assay.catalogue.entry import Source, listing, make_entry
from assay.catalogue.importers.imported import Imported
from assay.catalogue.names import dataset_name
from assay.catalogue.sources.addresses import arxiv_id


def read(path: Path) -> Imported:
    """The one model that a card describes.

    Raises:
        LoadError: if there is no such YAML, or it is not valid.
        UsageError: if no YAML reader is installed.
    """
    try:
        import yaml
    except ModuleNotFoundError:
        raise UsageError("A model card's facts are YAML; install the package pyyaml to read them.") from None
    text = path.read_text(encoding="utf-8")
    match = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    if match is None:
        raise LoadError(f"{path.name} is not a model card: it does not start with facts between two lines '---'.")
    try:
        facts = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        raise LoadError(f"{path.name} is not a model card: {' '.join(str(error).split())}.") from error
    if not isinstance(facts, dict):
        raise LoadError(f"{path.name} is not a model card: its facts are no table of names and values.")
    entry = make_entry(path.name, _values(path, facts, text[match.end() :]))
    return Imported(listing(Source(name="model-card", title="Hugging Face model cards"), [entry]))


def _values(path: Path, facts: dict[str, Any], body: str) -> dict[str, Any]:
    index = (facts.get("model-index") or [{}])[0]
    name = index.get("name") or path.parent.name or path.stem
    tags = facts.get("tags") or []
    result: dict[str, Any] = next(
        (one for one in index.get("results") or () if (one.get("task") or {}).get("type") == "image-classification"), {}
    )
    known = result.get("dataset") or {}
    dataset = dataset_name(str(known.get("name") or known.get("type") or next(iter(_texts(facts.get("datasets"))), "")))
    accuracy = _accuracy(result)
    classifies = "image-classification" in (facts.get("pipeline_tag"), *tags) or bool(result)
    return {
        "id": "model-card/" + re.sub(r"\s+", "-", str(name)),
        "task": "image classification" if classifies else None,
        "dataset": dataset,
        "licence": facts.get("license"),
        "paper": arxiv_id(next((tag for tag in tags if str(tag).startswith("arxiv:")), body)),
        "training_data": tuple(dataset_name(one) or one for one in _texts(facts.get("datasets"))) or None,
        "top1": accuracy,
        "evaluated_on": f"{dataset or known.get('name')} {known.get('split', '')}".strip() if accuracy else None,
    }


def _texts(value: Any) -> list[str]:
    return [str(value)] if isinstance(value, str) else [str(one) for one in value or ()]


def _accuracy(result: dict[str, Any]) -> float | None:
    """The metric of type accuracy; cards give it as a share or as a percentage."""
    for metric in result.get("metrics") or ():
        if metric.get("type") in ("accuracy", "top-1-accuracy") and isinstance(metric.get("value"), (int, float)):
            value = float(metric["value"])
            return value / 100 if value > 1 else value
    return None
