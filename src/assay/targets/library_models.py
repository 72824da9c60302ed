"""Networks of timm and torchvision with the weights that the libraries publish."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import torch

from assay.base.digests import digest_file
from assay.base.errors import LoadError, UsageError, nearest
from assay.base.progress import Progress
from assay.catalogue.weights import Preprocessing, Weights
from assay.data.images import Shape
from assay.targets.architectures.libraries import build_torchvision, timm_library, torchvision_models
from assay.targets.fetch import fetch
from assay.targets.loading import State, check_format, fit_state, read_state

_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
_WHOLE_DIGEST = re.compile(r"[0-9a-f]{64}")
_AUXILIARY_HEADS = ("AuxLogits.", "aux1.", "aux2.")


class Published(NamedTuple):
    """A library's entry of a classifier. ``accuracy`` is the library's top-1 accuracy on ImageNet-1k, in [0, 1]."""

    weights: Weights | None
    input_shape: Shape
    num_classes: int
    preprocessing: Preprocessing
    class_names: tuple[str, ...] = ()
    licence: str | None = None
    accuracy: float | None = None


def timm_published(name: str, *, classifier: bool = True) -> Published:
    """Timm's entry of a network, whose name may end in the tag of its weights.

    Raises:
        UsageError: if it has none of that name, or it must be a classifier and gives features.
    """
    timm = timm_library(name)
    try:
        entry = timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        raise UsageError(f"timm has no such weights: {error}") from error
    if classifier and not entry.num_classes:
        raise UsageError(f"timm:{name} gives features, not classes: choose weights with a classifier.")
    weights = None
    if entry.hf_hub_id:
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(entry.hf_hub_id, "model.safetensors")
        weights = Weights(format="safetensors", url=url, file=f"{entry.hf_hub_id.rpartition('/')[2]}.safetensors")
    elif entry.url:
        weights = Weights(format="torch", url=entry.url, file=entry.url.rpartition("/")[2])
    preprocessing = Preprocessing(mean=entry.mean, std=entry.std)
    return Published(weights, tuple(entry.input_size), entry.num_classes, preprocessing, licence=entry.license)


def torchvision_published(name: str) -> Published:
    """Torchvision's entry of a classifier, whose name may end in the tag of its weights (default: its default weights).

    Raises:
        UsageError: if it has none of that name.
    """
    model, _, tag = name.partition(".")
    choices = torchvision_models(model).get_model_weights(model)
    if tag and tag not in choices.__members__:
        raise UsageError(f"torchvision has no weights {tag!r} of {model}: {nearest(tag, choices.__members__)}")
    entry = choices[tag] if tag else choices.DEFAULT
    if entry.meta["categories"] is None:
        raise UsageError(f"torchvision:{name} gives features, not classes: choose weights with a classifier.")
    transforms, categories = entry.transforms(), tuple(entry.meta["categories"])
    side = transforms.crop_size[0]
    accuracy = entry.meta["_metrics"].get("ImageNet-1K", {}).get("acc@1")
    return Published(
        Weights(format="torch", url=entry.url, file=entry.url.rpartition("/")[2]),
        (3, side, side),
        len(categories),
        Preprocessing(mean=tuple(transforms.mean), std=tuple(transforms.std)),
        categories,
        entry.meta.get("license"),
        None if accuracy is None else round(accuracy / 100, 6),
    )


def published(library: str, name: str, *, classifier: bool = True) -> Published:
    """The entry of a network of ``timm`` or ``torchvision``.

    Raises:
        UsageError: if the library has none of that name, or it must be a classifier and gives features.
    """
    return timm_published(name, classifier=classifier) if library == "timm" else torchvision_published(name)


def read_published(entry: Published, reference: str, sha256: str | None, progress: Progress) -> tuple[State, Path]:
    """The tensors of a library's entry, called ``reference``, and the file that they are in.

    Without a ``sha256`` the file must have the publisher's digest: the prefix in its name, or the one that the model
    hub reports.

    Raises:
        UnsafeFileError: if the file is not the published one.
        LoadError: if it can be had neither from the cache, nor a mirror, nor its publisher.
        UsageError: if the library publishes none.
    """
    if entry.weights is None:
        raise UsageError(f"No weights are published for {reference}: {reference}?weights=random is untrained.")
    stated = _DIGEST_IN_NAME.search(entry.weights.file or "")
    if sha256 is None and stated is None:
        sha256 = _ask_hub(reference, entry.weights.url or "")
    weights = entry.weights.model_copy(update={"sha256": sha256})
    path = fetch(weights, progress, digest_start=stated.group(1) if stated else "")
    check_format(path, weights.format)
    return read_state(path, weights.format), path


def load_published(library: str, name: str, sha256: str | None, progress: Progress) -> tuple[torch.nn.Module, str]:
    """A library's classifier with its weights, and the SHA-256 of their file, read by `read_published`."""
    entry = published(library, name)
    state, path = read_published(entry, f"{library}:{name}", sha256, progress)
    if library == "timm":
        network: torch.nn.Module = timm_library(name).create_model(
            name, pretrained=True, pretrained_cfg_overlay={"state_dict": state}
        )
    else:
        network = build_torchvision(name, entry.num_classes, entry.input_shape)
        if hasattr(network, "transform_input"):
            setattr(network, "transform_input", True)  # noqa: B010 - a plain attribute, which Module's type hides
        state = without_auxiliary_heads(state)
        fit_state(network, state, path.name, f"torchvision:{name}")
    return network, digest_file(path)


def without_auxiliary_heads(state: State) -> State:
    """The tensors of torchvision's state without those of heads that only help in training."""
    return {key: value for key, value in state.items() if not key.startswith(_AUXILIARY_HEADS)}


def _ask_hub(reference: str, url: str) -> str:
    """The SHA-256 that the model hub states of a file."""
    from huggingface_hub import get_hf_file_metadata

    try:
        digest = get_hf_file_metadata(url).etag or ""
    except Exception as error:  # its errors are those of whatever client it uses
        raise LoadError(
            f"The weights of {reference} and their SHA-256 cannot be asked for ({error}): be online, say "
            f"{reference}?sha256=... to take them from ASSAY_MIRROR, or {reference}?weights=random for an untrained "
            "network."
        ) from error
    if not _WHOLE_DIGEST.fullmatch(digest):
        raise LoadError(f"The hub states no SHA-256 of {url}: say {reference}?sha256=... yourself.")
    return digest
