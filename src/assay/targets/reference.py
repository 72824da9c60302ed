"""From a reference to a `Target`: an id of the catalogue, a library's model, or a target file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from assay.base.errors import DataError, LoadError, UsageError, nearest
from assay.base.progress import Progress, silent
from assay.catalogue.catalogue import load_catalogue
from assay.catalogue.curated import Loadable, curated
from assay.data.formats.registry import DATASETS
from assay.data.sources import Parts, load_parts
from assay.targets.library_models import published
from assay.targets.opening import Opened, open_entry, open_file, open_library
from assay.targets.target import Target
from assay.targets.target_file import read_target_file

LIBRARIES = ("timm", "torchvision")


def load_target(
    reference: str,
    *,
    data: str | None = None,
    suspects: str | None = None,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress | None = None,
) -> Target:
    """A model made ready to be assessed.

    Args:
        reference: an id of the catalogue (``akamaster/cifar10-resnet20``, ``timm/resnet18.tv_in1k``,
            ``torchvision/resnet18/IMAGENET1K_V1``); ``timm:NAME`` or ``torchvision:NAME``, where the name may end in
            the tag of its weights; or the path of a target file. ``?sha256=...`` after a library's model names its
            weights, ``?weights=random`` leaves it untrained.
        data: a data set's name or path, in place of the model's own. An image folder is brought to the model's input
            size; other images must have it.
        suspects: a set of images, named like ``data``, that may carry a backdoor's trigger.
        device: ``cpu``, ``cuda`` or ``auto``. What another runtime evaluates (ONNX, TFLite) stays on the CPU.
        seed: draws the splits, and random weights.
        progress: where to report downloads to; nowhere by default.

    Raises:
        AssayError: if anything of it does not exist, cannot be had, is not safe to open, or does not fit.
    """
    opened = open_model(reference, device=device, seed=seed, progress=progress)
    parts = opened.data
    if data is not None and (parts is None or parts.dataset != data):
        parts = Parts(dataset=data)
    if parts is None:
        own = f" (it was trained on {curated()[reference].dataset})" if reference in curated() else ""
        raise DataError(f"{reference} brings no data{own}: name a data set or its path with --data (or data).")
    if suspects is not None:
        parts = parts.model_copy(update={"suspects": suspects})
    target = opened.target
    splits, names = load_parts(parts, target.input_shape, seed, progress or silent(), target.modality)
    if not target.class_names and len(names) == target.num_classes:
        target = replace(target, class_names=names)
    return target.with_splits(splits)


def check_reference(reference: str) -> bool:
    """Whether a model brings its own data; nothing of it is opened.

    Raises:
        AssayError: if there is no such model, or its target file is wrong.
    """
    library, _, name = reference.replace("/", ":", 1).partition(":")
    if library in LIBRARIES and name:
        published(library, name.partition("?")[0].replace("/", "."))
        return False
    if reference.endswith(".toml"):
        path = Path(reference).expanduser()
        described = read_target_file(path)
        if described.weights and not (path.parent / Path(described.weights).expanduser()).is_file():
            raise LoadError(f"There is no file of weights {path.parent / described.weights}.")
        return described.data is not None
    return find_entry(reference).dataset in DATASETS.names()


def open_model(reference: str, *, device: str = "cpu", seed: int = 0, progress: Progress | None = None) -> Opened:
    """A model without its data; see `load_target`."""
    place, report = pick_device(device), progress or silent()
    library, _, name = reference.replace("/", ":", 1).partition(":")
    if library in LIBRARIES and name:
        return open_library(library, name.replace("/", "."), place, seed, report)
    if reference.endswith(".toml"):
        return open_file(Path(reference).expanduser(), place, seed, report)
    return open_entry(find_entry(reference), place, report)


def find_entry(reference: str) -> Loadable:
    """A model of the catalogue with all that loading it takes.

    Raises:
        UsageError: if there is none; the message says what the reference is instead, or names the nearest.
    """
    entry = curated().get(reference)
    if entry is not None:
        return entry
    if Path(reference).expanduser().is_file():
        raise UsageError(f"{reference} is a file of weights: describe it in a target file (TOML), and name that.")
    if reference in load_catalogue():
        raise UsageError(
            f"{reference} is in the catalogue, but not with all that loading it takes: have its weights at hand, and "
            "describe them in a target file (TOML)."
        )
    raise UsageError(f"There is no model {reference!r}: {nearest(reference, curated())}")


def pick_device(device: str) -> torch.device:
    """``auto`` is the GPU if there is one.

    Raises:
        UsageError: if the device does not exist.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"There is no device {device!r} here; say cpu, cuda or auto.") from error
    return place
