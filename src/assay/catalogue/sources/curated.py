"""The small public models that Assay itself can load and test, from its curated files."""

from __future__ import annotations

from pathlib import Path

from assay.catalogue.curated import Loadable, curated
from assay.catalogue.entry import Entry, Listing, Source, listing
from assay.catalogue.names import dataset_name


def entries(wheels: Path | None = None) -> Listing:
    """One entry for each curated model."""
    return listing(Source(name="curated", title="Assay's curated models"), map(_entry, curated().values()))


def _entry(model: Loadable) -> Entry:
    """A curated model. Its accuracy is the measured one where there is one, else the authors' claim."""
    dataset, weights = dataset_name(model.dataset), model.weights
    accuracy, split = model.claimed.get("accuracy"), "test"
    if model.measured_accuracy is not None:
        accuracy = model.measured_accuracy
        split = f"test, first {model.measured_images} images" if model.measured_images else "test"
    return Entry(
        id=model.id,
        task="image classification",
        dataset=dataset,
        classes=model.num_classes,
        input=model.input_shape,
        architecture=model.architecture,
        licence=model.licence,
        top1=accuracy,
        evaluated_on=f"{model.dataset} {split}" if accuracy is not None else None,
        weights_url=weights.url,
        weights_digest=f"sha256:{weights.sha256}" if weights.sha256 else None,
        weights_bytes=weights.bytes,
        format=weights.format,
        preprocessing=model.preprocessing,
    )
