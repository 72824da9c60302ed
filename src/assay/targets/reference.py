"""From a reference to a `Target`: an id of the catalogue, a library's model, or a target file."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import torch

from assay.base.digests import digest_file
from assay.base.errors import DataError, LoadError, UsageError, nearest
from assay.base.progress import Progress, silent
from assay.catalogue.catalogue import load_catalogue
from assay.catalogue.curated import Loadable, curated
from assay.catalogue.loading import LIBRARIES
from assay.data.form import form_of
from assay.data.formats.registry import DATASETS
from assay.data.sources import Parts, load_parts
from assay.targets.architectures import build
from assay.targets.architectures.libraries import libraries_of
from assay.targets.described import open_described
from assay.targets.fetch import fetch
from assay.targets.file_reference import SUFFIXES, file_reference
from assay.targets.function import function_target, is_function
from assay.targets.hugging_face.folder import refuse_foreign_folder
from assay.targets.hugging_face.hub import PREFIX, fetch_repository
from assay.targets.hugging_face.opening import open_folder
from assay.targets.inferred import infer
from assay.targets.library_models import load_published, published
from assay.targets.loading import ENDINGS, Loaded, load_network, sniff
from assay.targets.module import module_digest
from assay.targets.opened import Opened, make_target, state_digest
from assay.targets.target import Target
from assay.targets.target_file import read_target_file

_BARE = re.compile(r"[a-z][a-z0-9_]+(\.\w+)?(\?.*)?")
"""The names of timm's and torchvision's networks, with a tag and options."""


def load_target(
    reference: str,
    *,
    data: str | None = None,
    suspects: str | None = None,
    drop_duplicates: bool = False,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress | None = None,
) -> Target:
    """A model made ready to be assessed.

    Args:
        reference: an id of the catalogue (``akamaster/cifar10-resnet20``, ``timm/resnet18.tv_in1k``,
            ``torchvision/resnet18/IMAGENET1K_V1``); ``timm:NAME`` or ``torchvision:NAME``, where the name may end in
            the tag of its weights, and the library may be left out if only one has such a network;
            ``hf:ORG/NAME@REVISION``, or a folder that transformers' ``save_pretrained`` wrote; the path of a file of
            weights, of which `assay.targets.inferred.infer` finds out the rest; the path of a target file; or
            ``package.module:function``, a predict function (`function_target`) about ``data``.
            ``?sha256=...`` after a library's model names its weights, ``?weights=random`` leaves it untrained.
        data: a data set's name or path, in place of the model's own. Image folders are resized to the model's input;
            other images too where the model's preprocessing says that it resizes, and else they must fit.
        suspects: a set of images, named like ``data``, that may carry a backdoor's trigger.
        drop_duplicates: leave out of the non-members what is among the training images too, pixel for pixel.
        device: ``cpu``, ``cuda`` or ``auto``. What another runtime evaluates (ONNX, TFLite) stays on the CPU.
        seed: draws the splits, and random weights.
        progress: where to report downloads to; nowhere by default.

    Raises:
        AssayError: if anything of it does not exist, cannot be had, is not safe to open, or does not fit.
    """
    if (file := file_reference(reference)) is not None:
        inferred = infer(file, data, pick_device(device), seed, progress or silent())
        opened = inferred.opened
        for key, note in inferred.notes.items():
            (progress or silent()).say(f"{file.path.name}: {key} {note}.")
    elif is_function(reference):
        opened = _open_function(reference, data, progress or silent())
    else:
        opened = open_model(reference, device=device, seed=seed, progress=progress)
    parts, target = opened.data, opened.target
    if data is not None and (parts is None or parts.dataset != data):
        known = {} if parts is None else {"label": parts.label, "categories": parts.categories}
        parts = Parts(dataset=data, **known)
    elif "accuracy" in target.facts.get("claimed", {}):  # what the authors claim holds for their own data
        stated = {"expected_accuracy": target.facts["claimed"]["accuracy"]}
        target = replace(target, facts=target.facts | stated)
    if parts is None:
        own = f" (it was trained on {curated()[reference].dataset})" if reference in curated() else ""
        raise DataError(f"{reference} brings no data{own}: name a data set or its path with --data (or data).")
    if suspects is not None:
        parts = parts.model_copy(update={"suspects": suspects})
    if drop_duplicates:
        parts = parts.model_copy(update={"drop_duplicates": True})
    splits, names = load_parts(
        parts, target.input_shape, seed, progress or silent(), target.modality, resize=opened.resizes
    )
    if not target.class_names and len(names) == target.num_classes:
        target = replace(target, class_names=names)
    return target.with_splits(splits)


def check_reference(reference: str) -> bool:
    """Whether a model brings its own data; nothing of it is opened.

    Raises:
        AssayError: if there is no such model, or its target file is wrong.
    """
    if file_reference(reference) is not None:
        return False
    reference = _with_library(reference)
    library, _, name = reference.replace("/", ":", 1).partition(":")
    if library in LIBRARIES and name:
        published(library, name.partition("?")[0].replace("/", "."))
        return False
    if reference.endswith(".toml"):
        path = Path(reference).expanduser()
        described = read_target_file(path)
        weights = "" if described.weights is None or described.weights.startswith(PREFIX) else described.weights
        if weights and not (path.parent / Path(weights).expanduser()).exists():
            raise LoadError(f"There is no file of weights {path.parent / weights}.")
        return described.data is not None
    if reference.startswith(PREFIX) or Path(reference).expanduser().is_dir() or is_function(reference):
        return False
    return find_entry(reference).dataset in DATASETS.names()


def open_model(reference: str, *, device: str = "cpu", seed: int = 0, progress: Progress | None = None) -> Opened:
    """A model without its data; see `load_target`."""
    place, report = pick_device(device), progress or silent()
    reference = _with_library(reference)
    library, _, name = reference.replace("/", ":", 1).partition(":")
    if library in LIBRARIES and name:
        return _open_library(library, name.replace("/", "."), place, seed, report)
    if reference.endswith(".toml"):
        return open_described(Path(reference).expanduser(), place, seed, report)
    if reference.startswith(PREFIX):
        return Opened(open_folder(fetch_repository(reference, report), reference, place), None, resizes=True)
    if (path := Path(reference).expanduser()).is_dir():
        refuse_foreign_folder(path)
        return Opened(open_folder(path, path.resolve().name, place), None, resizes=True)
    return _open_entry(find_entry(reference), place, report)


def _open_function(reference: str, data: str | None, progress: Progress) -> Opened:
    """A function named on the command line; its input is what the data hold."""
    if data is None:
        raise DataError(f"{reference} is a function, whose input the data say: name them with --data (or data).")
    modality, shape = form_of(data, progress)
    return Opened(function_target(reference, Path(), shape=shape, num_classes=None, modality=modality), None)


def _with_library(reference: str) -> str:
    """A reference, with the library in front where it is the bare name of a library's network.

    Raises:
        UsageError: if two libraries have one of that name.
    """
    if not _BARE.fullmatch(reference) or reference.endswith(".toml") or Path(reference).exists():
        return reference
    owners = libraries_of(reference.partition("?")[0])
    if len(owners) > 1:
        raise UsageError(f"{reference} is in two libraries: say {' or '.join(f'{o}:{reference}' for o in owners)}.")
    return f"{owners[0]}:{reference}" if owners else reference


def find_entry(reference: str) -> Loadable:
    """A model of the catalogue with all that loading it takes.

    Raises:
        UsageError: if there is none; the message says what the reference is instead, or names the nearest.
    """
    entry = curated().get(reference)
    if entry is not None:
        return entry
    path = Path(reference.partition("?")[0]).expanduser()
    if path.is_file():
        format = sniff(path)
        if path.suffix.lower() in SUFFIXES:
            raise UsageError(f"{path.name} comes without its data here: describe it in a target file, and name that.")
        raise UsageError(
            f"{path.name} is a {format} file without an ending that says so: rename it to "
            f"{path.stem}{ENDINGS[format]}, or describe it in a target file (TOML), and name that."
        )
    if path.suffix.lower() in SUFFIXES:
        raise LoadError(f"There is no file {path}.")
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


def _open_entry(entry: Loadable, device: torch.device, progress: Progress) -> Opened:
    """A model of the catalogue."""
    path = fetch(entry.weights, progress)
    loaded = load_network(
        path,
        entry.weights.format,
        architecture=entry.architecture,
        num_classes=entry.num_classes,
        input_shape=entry.input_shape,
    )
    sha256 = entry.weights.sha256 or digest_file(path)
    facts = {
        "title": entry.title,
        "format": entry.weights.format,
        "architecture": entry.architecture,
        "sha256": sha256,
        "licence": entry.licence,
        "source": entry.source,
        "claimed": entry.claimed,
        "note": entry.note,
    }
    digest = state_digest(sha256, entry.architecture)
    target = make_target(loaded, entry.id, entry.preprocessing, entry.class_names, digest, device, facts)
    known = entry.dataset in DATASETS.names()
    return Opened(target, Parts(dataset=entry.dataset, train_rows=entry.train_rows) if known else None)


def _open_library(library: str, name: str, device: torch.device, seed: int, progress: Progress) -> Opened:
    """A library's model; ``name`` may end in ``?weights=random`` or ``?sha256=...``."""
    reference = f"{library}:{name}"
    name, _, query = name.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if options.keys() - {"weights", "sha256"} or options.get("weights", "random") != "random":
        raise UsageError(f"{reference} is not understood: ?weights=random and ?sha256=... are.")
    entry = published(library, name)
    facts: dict[str, Any] = {"architecture": f"{library}:{name}", "licence": entry.licence}
    if "weights" in options:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build(f"{library}:{name}", entry.num_classes, entry.input_shape)
        digest, facts["note"] = module_digest(network), "Untrained: random weights."
    else:
        network, digest = load_published(library, name, options.get("sha256"), progress)
        facts |= {"sha256": digest, "claimed": {} if entry.accuracy is None else {"accuracy": entry.accuracy}}
    loaded = Loaded(network, entry.input_shape, entry.num_classes, differentiable=True)
    digest = state_digest(digest, f"{library}:{name}")
    target = make_target(loaded, reference, entry.preprocessing, entry.class_names, digest, device, facts)
    return Opened(target, None, resizes=True)
