"""OpenMMLab's image classifiers, from the metafiles in mmpretrain and in mmcls, its predecessor."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from assay.base.errors import UsageError
from assay.catalogue.entry import Entry, Listing, Source, listing
from assay.catalogue.names import dataset_name
from assay.catalogue.packages import find_files, find_package
from assay.catalogue.sources.addresses import arxiv_id, hashed_name


def mmpretrain(wheels: Path | None) -> Listing:
    """The classifiers of mmpretrain that have weights."""
    return _entries("mmpretrain", wheels)


def mmcls(wheels: Path | None) -> Listing:
    """The classifiers of mmcls that have weights."""
    return _entries("mmcls", wheels)


def _entries(name: str, wheels: Path | None) -> Listing:
    try:
        import yaml
    except ModuleNotFoundError:
        raise UsageError("OpenMMLab's metafiles are YAML; install the package pyyaml to read them.") from None
    package = find_package(name, wheels)
    found = []
    for file in find_files(package.root / name / ".mim" / "configs", "metafile.yml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        collections = {collection["Name"]: collection for collection in content.get("Collections", ())}
        for model in content.get("Models", ()):
            result = _classification(model)
            if result and model.get("Weights"):
                found.append(_entry(name, model, result, collections.get(model.get("In Collection"), {})))
    return listing(Source(name=name, title=name, version=package.version), found)


def _classification(model: dict[str, Any]) -> dict[str, Any] | None:
    results = model.get("Results") or []
    results = results if isinstance(results, list) else [results]
    return next((result for result in results if result.get("Task") == "Image Classification"), None)


def _entry(source: str, model: dict[str, Any], result: dict[str, Any], collection: dict[str, Any]) -> Entry:
    """One model. What OpenMMLab calls FLOPs counts a multiplication and an addition as one: they are MACs."""
    metadata, metrics = model.get("Metadata") or {}, result.get("Metrics") or {}
    dataset = dataset_name(result["Dataset"])
    size = re.search(r"(\d{3})px", model["Name"])
    paper = collection.get("Paper") or {}
    return Entry(
        id=f"{source}/{model['Name']}",
        task="image classification",
        dataset=dataset,
        input=(3, int(size[1]), int(size[1])) if size else None,
        architecture=model["Name"].split("_")[0],
        parameters=_whole(metadata.get("Parameters")),
        macs=_whole(metadata.get("FLOPs")),
        purpose="benchmark",
        paper=arxiv_id((paper[0] if isinstance(paper, list) else paper).get("URL")),
        training_data=_training_data(metadata.get("Training Data")),
        top1=_share(metrics.get("Top 1 Accuracy")),
        top5=_share(metrics.get("Top 5 Accuracy")),
        evaluated_on=_split(dataset),
        weights_url=model["Weights"],
        weights_digest=hashed_name(model["Weights"]),
        format="torch",
    )


def _split(dataset: str | None) -> str | None:
    return f"{dataset} {'validation' if dataset == 'imagenet-1k' else 'test'}" if dataset else None


def _training_data(value: str | list[str] | None) -> tuple[str, ...] | None:
    names = [value] if isinstance(value, str) else value or []
    return tuple(dataset_name(name) or name.lower() for name in names) or None


def _whole(value: Any) -> int | None:
    return int(value) if value else None


def _share(value: Any) -> float | None:
    return round(float(value) / 100, 5) if value else None
