"""Models that a target file describes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from assay.base.digests import digest_file, digest_json
from assay.base.errors import LoadError, UnsafeFileError, UsageError
from assay.base.progress import Progress
from assay.catalogue.weights import Format, Preprocessing, Weights
from assay.data.images import shape_text
from assay.targets.fetch import fetch
from assay.targets.file_reference import file_reference
from assay.targets.function import function_target, is_function, source_of
from assay.targets.hugging_face.folder import read_folder, refuse_foreign_folder
from assay.targets.hugging_face.hub import PREFIX, fetch_repository
from assay.targets.hugging_face.opening import Overrides, open_folder
from assay.targets.loading import Loaded, load_network, sniff
from assay.targets.opened import Opened, make_target, state_digest
from assay.targets.service_file import is_service_file
from assay.targets.target import Modality, Target
from assay.targets.target_file import TargetFile, call_factory, factory_digest, read_target_file


def open_described(path: Path, device: torch.device, seed: int, progress: Progress) -> Opened:
    """The model of a target file.

    Raises:
        AssayError: if the file is wrong, or its model cannot be had, is not safe to open, or does not fit.
    """
    described = read_target_file(path)
    try:
        opened = open_table(described, path.resolve().parent, described.name or path.stem, device, seed, progress)
    except OSError as error:  # a name that no file can have, or one that may not be read
        raise LoadError(f"The model of {path} cannot be opened: {error.strerror or error}.") from error
    facts = opened.target.facts | {"file": path.name if path.is_absolute() else path.as_posix()}
    return opened._replace(target=replace(opened.target, facts=facts))


def open_table(
    described: TargetFile, folder: Path, name: str, device: torch.device, seed: int, progress: Progress
) -> Opened:
    """The model that the keys of a target file describe; relative paths start at ``folder``.

    Raises:
        AssayError: as `open_described` does.
    """
    if (repository := _repository(described, folder, progress)) is not None:
        target = open_folder(repository, name, device, _overrides(described))
    elif described.function is not None:
        assert described.shape is not None, "a function comes with a shape"
        target = function_target(
            described.function,
            folder,
            shape=described.shape,
            num_classes=described.num_classes,
            modality=described.modality,
            name=name,
            version=described.version,
            class_names=described.class_names,
        )
    else:
        target = _from_file(described, folder, name, device, seed, progress)
    facts = dict(target.facts)
    if described.expected_accuracy is not None:
        facts["expected_accuracy"] = described.expected_accuracy
    data = described.data and described.data.anchored(folder)
    resizes = target.preprocessing.size is not None
    return Opened(replace(target, serving=described.serving, facts=facts), data, resizes)


def content_digest(reference: str) -> str:
    """SHA-256 of the files that a reference names on this machine: a target file and its weights, or a folder.

    Empty for all other references, which name a content that does not change.
    """
    path = Path(reference).expanduser()
    if path.is_dir():
        return read_folder(path).digest()
    if (bare := file_reference(reference)) is not None:
        return digest_json([digest_file(one) for one in (bare.path, *_beside(bare.path))])
    if is_function(reference):
        return digest_file(source) if (source := source_of(reference, Path())) else ""
    if not reference.endswith(".toml"):
        return ""
    if is_service_file(reference):
        return digest_file(path)
    described = read_target_file(path)
    weights = described.weights
    if described.function is not None:
        source = source_of(described.function, path.parent)
        return digest_json([digest_file(file) for file in (path, source) if file is not None])
    if weights is None or weights.startswith(PREFIX):
        return digest_json([digest_file(path), weights or described.sha256])
    file = path.parent / Path(weights).expanduser()
    if file.is_dir():
        return digest_json([digest_file(path), read_folder(file).digest()])
    return digest_json([digest_file(one) for one in (path, file, *_beside(file))])


def _beside(file: Path) -> list[Path]:
    """Files beside one of weights that may belong to it."""
    return [one for one in (file.with_name(f"{file.name}.data"), file.with_suffix(".json")) if one.is_file()]


def _repository(described: TargetFile, folder: Path, progress: Progress) -> Path | None:
    """The folder of save_pretrained that the weights are, if they are one."""
    weights = described.weights or ""
    if weights.startswith(PREFIX):
        return fetch_repository(weights, progress)
    path = folder / Path(weights).expanduser()
    if not weights or not path.is_dir():
        return None
    refuse_foreign_folder(path)
    return path


def _overrides(described: TargetFile) -> Overrides:
    given = described.model_fields_set
    for key in ("architecture", "factory", "format", "sha256", "num_classes", "replace_lambda"):
        if key in given:
            raise UsageError(f"The weights are a folder of save_pretrained, whose own settings apply: leave out {key}.")
    return Overrides(
        described.preprocessing if "preprocessing" in given else None,
        described.input_shape,
        described.class_names,
        described.max_bytes,
    )


def _from_file(
    described: TargetFile, folder: Path, name: str, device: torch.device, seed: int, progress: Progress
) -> Target:
    described.check_architecture()
    network = call_factory(described.factory, described, folder, seed) if described.factory else None
    facts: dict[str, Any] = {"architecture": described.architecture or described.factory}
    if described.weights or described.url:
        file = _weights_file(described, folder, progress)
        format: Format = described.format or sniff(file)
        loaded = load_network(
            file,
            format,
            architecture=network if network is not None else described.architecture,
            num_classes=described.num_classes,
            input_shape=described.network_shape,
            replace_lambda=described.replace_lambda,
        )
        size, own = described.preprocessing.size, loaded.input_shape
        if described.network_shape is None and size is not None and size != own[1:]:
            raise UsageError(
                f"{file.name} takes images of {shape_text(own)}, and preprocessing.size says {size[0]}x{size[1]}: "
                "leave it out."
            )
        facts["sha256"] = digest_file(file)
        digest = state_digest(loaded.digest(file), described.architecture)
        if described.replace_lambda:
            replaced = described.model_dump(mode="json")["replace_lambda"]
            digest = digest_json({"weights": digest, "replace_lambda": replaced})
    else:
        shape, classes, format = described.network_shape, described.num_classes, "factory"
        assert network is not None, "a target file has weights or a factory"
        assert shape is not None, "a factory without weights comes with a shape"
        assert classes is not None, "a factory without weights comes with classes"
        loaded = Loaded(network, shape, classes, differentiable=True)
    if described.factory and loaded.differentiable:
        digest = factory_digest(described.factory, loaded.network)
    if described.shape is not None:
        loaded = replace(loaded, input_shape=described.shape)
    facts["format"] = format
    modality: Modality = "vector" if loaded.vector else described.modality
    if loaded.vector and described.preprocessing != Preprocessing():
        raise UsageError(f"{name} reads vectors, which have no preprocessing: leave it out of the target file.")
    return make_target(loaded, name, described.preprocessing, described.class_names, digest, device, facts, modality)


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
