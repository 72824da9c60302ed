"""timm's pretrained image classifiers, from its own registry."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from assay.catalogue.entry import Entry, Listing, Source, listing
from assay.catalogue.sources.addresses import arxiv_id, hashed_name
from assay.catalogue.weights import Preprocessing

DATASETS = {
    1000: "imagenet-1k",
    11221: "imagenet-21k-p",
    11821: "imagenet-12k",
    19168: "imagenet-w21k",
    21841: "imagenet-21k",
    21842: "imagenet-21k",
    21843: "imagenet-21k",
    115217: "bamboo",
}
"""The data set of a classifier of so many classes; other widths are embeddings, not classes."""

TRAINING_DATA = {
    "in1k": "imagenet-1k",
    "in12k": "imagenet-12k",
    "in21k": "imagenet-21k",
    "in22k": "imagenet-21k",
    "inw21k": "imagenet-w21k",
    "laion2b": "laion-2b",
    "laion400m": "laion-400m",
    "laiona": "laion-aesthetic",
    "openai": "openai-clip",
    "webli": "webli",
    "jft": "jft-300m",
    "ig1b": "instagram-1b",
    "yfcc100m": "yfcc-100m",
    "m30m": "merged-30m",
    "m38m": "merged-38m",
}
"""Parts of timm's tags that name training data."""


def is_classifier(classes: int) -> bool:
    """Whether a network of so many outputs is a classifier of a known data set."""
    return classes in DATASETS


def entries(wheels: Path | None) -> Listing:
    """One entry for each pretrained tag whose outputs are classes; needs timm installed."""
    from assay.base.vision import import_timm

    models = import_timm().models
    found = []
    for name in models.list_models(pretrained=True):
        config = models.get_pretrained_cfg(name)
        if is_classifier(config.num_classes):
            found.append(_entry(name, config))
    return listing(Source(name="timm", title="timm", version=version("timm")), found)


def _entry(name: str, config: Any) -> Entry:
    hub = f"https://huggingface.co/{config.hf_hub_id}" if config.hf_hub_id else None
    channels, height, width = config.input_size
    licence = config.license if config.license != "unknown" else None
    return Entry(
        id=f"timm/{name}",
        task="image classification",
        dataset=DATASETS[config.num_classes],
        classes=config.num_classes,
        input=(channels, height, width),
        architecture=config.architecture,
        purpose="benchmark",
        licence=licence,
        paper=arxiv_id(config.paper_ids) if isinstance(config.paper_ids, str) else None,
        training_data=_training_data(config.tag),
        weights_url=config.url or hub,
        mirrors=(hub,) if config.url and hub else (),
        weights_digest=hashed_name(config.url or ""),
        format="factory",
        preprocessing=Preprocessing(mean=config.mean, std=config.std, size=(height, width)),
        crop=round(config.crop_pct, 4),
        interpolation=config.interpolation,
        builder=f"timm:{name}",
    )


def _training_data(tag: str) -> tuple[str, ...] | None:
    known = (TRAINING_DATA[part] for part in re.split("_", tag) if part in TRAINING_DATA)
    return tuple(dict.fromkeys(known)) or None
