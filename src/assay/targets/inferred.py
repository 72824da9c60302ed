"""What a target file would say of a model file, told from the file and its data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from assay.base.errors import DataError, LoadError, UsageError
from assay.base.progress import Progress
from assay.catalogue.weights import Format, Preprocessing
from assay.data.formats.registry import load_dataset
from assay.data.images import Fitted, Images, Shape, shape_text
from assay.data.sources import Parts
from assay.data.text_rows import Texts
from assay.targets.described import open_table
from assay.targets.file_reference import FileReference
from assay.targets.loading import Loaded, load_network, sniff
from assay.targets.loading.state import read_state
from assay.targets.opened import Opened
from assay.targets.readings import chosen, compare, named_reading
from assay.targets.target import Target
from assay.targets.target_file import TargetFile

FEWEST = 30
"""Labelled images below which no preprocessing is chosen by accuracy."""


class Inferred(NamedTuple):
    """A description and its model. ``notes`` say by key what was inferred, and from what."""

    described: TargetFile
    opened: Opened
    notes: dict[str, str]


class _Data(NamedTuple):
    """A labelled part of the data (non-members, where there are any).

    ``num_classes`` is that of the whole, as far as its labels and names tell; ``lowest`` the lowest label of the whole.
    """

    part: Images
    num_classes: int
    lowest: int


def infer(file: FileReference, data: str | None, device: torch.device, seed: int, progress: Progress) -> Inferred:
    """What a target file would say of a model file.

    What the file does not say comes from the data: the shape of the images and the number of classes of a state
    dictionary, and the preprocessing, which is the usual one (`assay.targets.readings`) that labelled images fit best.

    Raises:
        UsageError: if it cannot be told: the sentence names the option that says it.
        AssayError: if the model cannot be opened, or there are no data.
    """
    format = sniff(file.path)
    _check_architecture(file, format)
    if data is None:
        raise DataError(f"{file.path} brings no data: name a data set or its path after it (or with --data).")
    own = None if format in ("torch", "safetensors") else _own_network(file, format)
    if own is not None and own.vector:
        return _vectors(file, format, data, device, seed, progress)
    network = file.input_shape if own is None else own.input_shape
    labelled = _labelled(data, network, progress)
    keys, notes = _keys(file, format, labelled, network)
    described = TargetFile.model_validate({"weights": str(file.path), "name": file.path.stem, **keys})
    opened, described = _opened(file, format, described, labelled, device, seed, progress)
    notes["num_classes"] = str(opened.target.num_classes)
    settled, notes["preprocessing"] = _preprocessing(file, opened.target, labelled.part)
    if settled != Preprocessing():
        size = described.preprocessing.size
        described = described.model_copy(update={"preprocessing": settled.model_copy(update={"size": size})})
        opened = open_table(described, Path(), file.path.stem, device, seed, progress)
    return Inferred(described, _inferred(opened, data, notes), notes)


def _check_architecture(file: FileReference, format: Format) -> None:
    architecture = file.options.get("architecture")
    if format in ("torch", "safetensors"):
        if architecture is None:
            raise UsageError(
                f"{file.path.name} holds tensors only: say which network they belong to, as in --architecture "
                'torchvision:resnet18 (or write a target file with factory = "module:function").'
            )
        kind = architecture.partition(":")[0]
        if kind in ("text", "vector"):
            raise UsageError(f'{architecture}: say modality = "{kind}" in a target file, and name that.')
    elif architecture is not None:
        raise UsageError(f"{file.path.name} holds its network: leave out --architecture.")


def _own_network(file: FileReference, format: Format) -> Loaded | None:
    """The network of a file that holds one; None where it leaves the shape open and the user does not say it."""
    try:
        return load_network(file.path, format, input_shape=file.input_shape)
    except LoadError as error:
        if "say it with input_shape" not in str(error):
            raise
        return None


def _vectors(
    file: FileReference, format: Format, data: str, device: torch.device, seed: int, progress: Progress
) -> Inferred:
    """A network of vectors: raw features go in, so that there is no preprocessing to choose."""
    if "preprocessing" in file.options:
        raise UsageError(f"{file.path.name} reads vectors, which have no preprocessing: leave it out.")
    described = TargetFile(weights=str(file.path), name=file.path.stem, format=format)
    opened = open_table(described, Path(), file.path.stem, device, seed, progress)
    features, classes = opened.target.input_shape[2], opened.target.num_classes
    notes = {"format": format, "input_shape": f"{features} features, as they are", "num_classes": str(classes)}
    return Inferred(described, _inferred(opened, data, notes), notes)


def _inferred(opened: Opened, data: str, notes: dict[str, str]) -> Opened:
    facts = opened.target.facts | {"inferred": "; ".join(f"{key} {note}" for key, note in notes.items())}
    return opened._replace(target=replace(opened.target, facts=facts), data=Parts(dataset=data))


def _labelled(data: str, network: Shape | None, progress: Progress) -> _Data:
    try:
        dataset = load_dataset(
            data, size=network[1:] if network and Path(data).expanduser().is_dir() else None, progress=progress
        )
    except DataError as error:
        if network is None and "give a size" in str(error):
            raise DataError(f"{error} Say what the network takes, as in --input-shape 3x224x224.") from None
        raise
    parts = [part for part in (dataset.test, dataset.train) if part is not None]
    if isinstance(parts[0], Texts):
        raise DataError(f"{dataset.name} holds texts, and a file of weights reads images: write a target file for it.")
    highest = max(int(part.labels.max()) for part in parts)
    lowest = min(int(part.labels.min()) for part in parts)
    return _Data(parts[0], max(2, highest + 1, len(dataset.class_names)), lowest)


def _keys(
    file: FileReference, format: Format, labelled: _Data, network: Shape | None
) -> tuple[dict[str, Any], dict[str, str]]:
    shape = labelled.part.shape
    notes: dict[str, str] = {"format": format}
    keys: dict[str, Any] = {"format": format, "input_shape": shape}
    if format in ("torch", "safetensors"):
        keys["architecture"] = file.options["architecture"]
    if network is None or network == shape:
        notes["input_shape"] = f"{shape_text(shape)}, of the data" if network is None else shape_text(shape)
    else:
        notes["input_shape"] = f"{shape_text(network)}; images of {shape_text(shape)} are resized"
        keys["preprocessing"] = {"size": network[1:]}
        keys["input_shape"] = shape if shape[0] == network[0] else network
    return keys, notes


def _opened(
    file: FileReference,
    format: Format,
    described: TargetFile,
    labelled: _Data,
    device: torch.device,
    seed: int,
    progress: Progress,
) -> tuple[Opened, TargetFile]:
    """The model, with the first number of classes that fits: the user's, the data's, the length of the last tensor."""
    if format not in ("torch", "safetensors"):
        return open_table(described, Path(), file.path.stem, device, seed, progress), described
    *_, last = read_state(file.path, format).values()
    rows = len(last) if last.ndim else 0
    least = labelled.num_classes
    others = [least - 1] if labelled.lowest == 1 else []  # labels that start at one, which is complained about later
    counts = [file.num_classes] if file.num_classes else [least, *others, *([rows] if rows > least else [])]
    failed: LoadError | None = None
    for count in counts:
        described = described.model_copy(update={"num_classes": count})
        try:
            return open_table(described, Path(), file.path.stem, device, seed, progress), described
        except LoadError as error:
            failed = failed or error
    raise LoadError(
        f"{failed} Tried with {' and '.join(map(str, counts))} classes: --architecture, --num-classes and "
        "--input-shape say what it is."
    )


def _preprocessing(file: FileReference, target: Target, part: Images) -> tuple[Preprocessing, str]:
    key = file.options.get("preprocessing")
    if key is not None:
        return named_reading(key, target.input_shape[0]).preprocessing, f"{key}, as was said"
    if part.labels.max() >= target.num_classes:
        return Preprocessing(), "unit (pixels from 0 to 1), not tried: the labels do not fit the classes"
    if len(part) < FEWEST:
        return Preprocessing(), f"unit (pixels from 0 to 1), not tried: {len(part)} labelled images are too few"
    fits = part.shape == target.input_shape
    scores = compare(target, part if fits else Fitted(part, target.input_shape))
    return scores[0].reading.preprocessing, chosen(scores)
