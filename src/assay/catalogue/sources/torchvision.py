"""torchvision's weights of image classifiers, from its own registry."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from assay.catalogue.entry import Entry, Listing, Source, listing
from assay.catalogue.sources.addresses import hashed_name
from assay.catalogue.weights import Preprocessing


def entries(wheels: Path | None) -> Listing:
    """One entry for each weights entry that has classes; needs torchvision installed."""
    from assay.base.vision import import_torchvision

    models = import_torchvision().models
    found = [
        _entry(name, weights)
        for name in models.list_models(module=models)
        for weights in models.get_model_weights(name)
        if weights.meta.get("categories") is not None
    ]
    return listing(Source(name="torchvision", title="torchvision", version=version("torchvision")), found)


def _entry(name: str, weights: Any) -> Entry:
    meta, transform = weights.meta, weights.transforms()
    size = transform.crop_size[0]
    metrics = meta["_metrics"]["ImageNet-1K"]
    return Entry(
        id=f"torchvision/{name}/{weights.name}",
        task="image classification",
        dataset="imagenet-1k",
        classes=len(meta["categories"]),
        input=(3, size, size),
        architecture=name,
        parameters=meta["num_params"],
        macs=round(meta["_ops"] * 1e9),
        purpose="benchmark",
        licence=meta.get("license"),
        top1=round(metrics["acc@1"] / 100, 5),
        top5=round(metrics["acc@5"] / 100, 5),
        evaluated_on="imagenet-1k validation",
        weights_url=weights.url,
        weights_digest=hashed_name(weights.url),
        weights_bytes=round(meta["_file_size"] * 2**20),
        format="factory",
        preprocessing=Preprocessing(mean=tuple(transform.mean), std=tuple(transform.std), size=(size, size)),
        crop=round(size / transform.resize_size[0], 4),
        interpolation=transform.interpolation.value,
        builder=f"torchvision:{name}",
    )
