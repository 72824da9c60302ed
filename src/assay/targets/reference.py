"""From a reference to a `Target`: an id of the catalogue, a library's model, or a target file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import torch

from assay.base.digests import digest_file, digest_json
from assay.base.errors import DataError, LoadError, UnsafeFileError, UsageError, nearest
from assay.base.progress import Progress, silent
from assay.catalogue.catalogue import load_catalogue
from assay.catalogue.curated import Loadable, curated
from assay.catalogue.weights import Format, Preprocessing, Weights
from assay.data.formats.registry import DATASETS
from assay.data.sources import Parts, load_parts
from assay.targets.architectures import build
from assay.targets.fetch import fetch
from assay.targets.library_models import load_published, published
from assay.targets.loading import Loaded, load_network, sniff
from assay.targets.module import Preprocessed, evaluate, module_digest
from assay.targets.target import CPU, Modality, Target
from assay.targets.target_file import TargetFile, call_factory, factory_digest, read_target_file

LIBRARIES = ("timm", "torchvision")


class Opened(NamedTuple):
    """A model without data, and where its own data come from, if that is known."""

    target: Target
    data: Parts | None


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
        return _open_library(library, name.replace("/", "."), place, seed, report)
    if reference.endswith(".toml"):
        return _open_file(Path(reference).expanduser(), place, seed, report)
    return _open_entry(find_entry(reference), place, report)


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
    return Opened(target, None)


def _open_file(path: Path, device: torch.device, seed: int, progress: Progress) -> Opened:
    """The model of a target file."""
    described = read_target_file(path)
    folder = path.resolve().parent
    network = call_factory(described.factory, described, folder, seed) if described.factory else None
    sha256 = None
    if described.weights or described.url:
        file = _weights_file(described, folder, progress)
        format: Format = described.format or sniff(file)
        loaded = load_network(
            file,
            format,
            architecture=network if network is not None else described.architecture,
            num_classes=described.num_classes,
            input_shape=described.shape,
        )
        sha256 = digest_file(file)
        digest = state_digest(sha256, described.architecture)
    else:
        shape, classes, format = described.shape, described.num_classes, "factory"
        assert network is not None, "a target file has weights or a factory"
        assert shape is not None, "a factory without weights comes with a shape"
        assert classes is not None, "a factory without weights comes with classes"
        loaded = Loaded(network, shape, classes, differentiable=True)
    if described.factory and loaded.differentiable:
        digest = factory_digest(described.factory, loaded.network)
    facts = {"format": format, "architecture": described.architecture or described.factory, "sha256": sha256}
    facts |= {"file": path.as_posix() if not path.is_absolute() else path.name}
    name = described.name or path.stem
    target = make_target(
        loaded, name, described.preprocessing, described.class_names, digest, device, facts, described.modality
    )
    data = described.data and described.data.anchored(folder)
    return Opened(replace(target, serving=described.serving), data)


def _weights_file(described: TargetFile, folder: Path, progress: Progress) -> Path:
    if described.url:
        return fetch(Weights(format=described.format or "torch", url=described.url, sha256=described.sha256), progress)
    path = folder / Path(described.weights or "").expanduser()
    if not path.is_file():
        raise LoadError(f"There is no file of weights {path}.")
    found = digest_file(path)
    if described.sha256 not in (None, found):
        raise UnsafeFileError(
            f"{path} has the SHA-256 {found}, and {described.sha256} was expected; it was not opened."
        )
    return path


def state_digest(sha256: str, architecture: str | None) -> str:
    """What weights are known by: their digest and, where the file does not say what they are for, the architecture."""
    return sha256 if architecture is None else digest_json({"weights": sha256, "architecture": architecture})


def make_target(
    loaded: Loaded,
    name: str,
    preprocessing: Preprocessing,
    class_names: tuple[str, ...],
    digest: str,
    device: torch.device,
    facts: dict[str, Any],
    modality: Modality = "image",
) -> Target:
    """A target from an opened file.

    Raises:
        DataError: if preprocessing or class names do not fit, or the network cannot process its own input.
    """
    channels = loaded.input_shape[0]
    for what, values in (("mean", preprocessing.mean), ("std", preprocessing.std)):
        if len(values) not in (1, channels):
            raise DataError(
                f"{name}: the preprocessing has a {what} for {len(values)} channels; images have {channels}."
            )
    if class_names and len(class_names) != loaded.num_classes:
        raise DataError(
            f"{name} tells {loaded.num_classes} classes apart, and {len(class_names)} class names are given."
        )
    facts = {key: value for key, value in facts.items() if value}
    if loaded.differentiable:
        return Target.from_module(
            loaded.network,
            input_shape=loaded.input_shape,
            num_classes=loaded.num_classes,
            name=name,
            preprocessing=preprocessing,
            class_names=class_names,
            device=device,
            weights_digest=digest,
            facts=facts,
            modality=modality,
        )
    network = Preprocessed(loaded.network, preprocessing).eval()
    twin = loaded.twin and Preprocessed(loaded.twin, preprocessing).eval().requires_grad_(False)
    gradients = f"none: {loaded.no_twin}" if twin is None else "through a twin with the file's weights"
    return Target(
        name=name,
        weights_digest=digest,
        input_shape=loaded.input_shape,
        num_classes=loaded.num_classes,
        logits=lambda images: evaluate(network, images, CPU),
        module=twin,
        preprocessing=preprocessing,
        class_names=class_names,
        facts={**facts, "gradients": gradients},
    )
