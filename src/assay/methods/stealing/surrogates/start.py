"""Where a surrogate's weights start: public ones, or those of a network trained on data at hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from assay.base.errors import DataError, UsageError
from assay.base.progress import Progress
from assay.catalogue.weights import Preprocessing
from assay.data.images import Shape
from assay.methods.stealing.surrogate import DESCRIPTION, load_network
from assay.methods.stealing.surrogates.public import fit_but_head, public_network
from assay.targets.module import Preprocessed
from assay.targets.reference import open_model
from assay.training import seeded_build

PRETRAINED = "pretrained"


class Source(NamedTuple):
    """A trained network, its preprocessing inside, what it is, and its number of input channels."""

    module: Preprocessed
    architecture: str
    channels: int


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """PyTorch's global generator, borrowed with a seed and given back."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def started(
    architecture: str,
    initialisation: str,
    num_classes: int,
    shape: Shape,
    size: tuple[int, int],
    seed: int,
    progress: Progress,
) -> tuple[torch.nn.Module, Preprocessing]:
    """A network with trained features and a new classifier, and the preprocessing that it was trained with.

    The preprocessing resizes to ``size`` and has a mean for every channel of the network, so that grey images are
    repeated for colour ones. See `prepare` for arguments and errors.
    """
    name, _, sha256 = initialisation.partition("?sha256=")
    if name == PRETRAINED:
        channels = 1 if architecture.startswith("text:") else 3
        with seeded(seed):
            network, trained = public_network(architecture, num_classes, size, sha256 or None, progress)
    else:
        source = _source(initialisation, progress)
        if source.architecture != architecture:
            raise UsageError(f"{initialisation} is a {source.architecture}, and a {architecture} cannot start from it.")
        channels, trained = source.channels, source.module.preprocessing
        network = seeded_build(architecture, num_classes, (channels, *size), seed)
        fit_but_head(network, source.module.module.state_dict(), initialisation, architecture)
    if shape[0] not in (1, channels):
        raise DataError(f"{initialisation} takes {channels} channels, and the target's images have {shape[0]}.")
    mean, std = (values * (channels // len(values)) for values in (trained.mean, trained.std))
    return network, trained.model_copy(update={"size": size, "mean": mean, "std": std})


def _source(initialisation: str, progress: Progress) -> Source:
    folder = Path(initialisation).expanduser()
    if (folder / DESCRIPTION).is_file():
        module, described = load_network(folder)
        return Source(module, described.architecture, described.channels)
    target = open_model(initialisation, progress=progress).target
    architecture = target.facts.get("architecture")
    if not isinstance(target.module, Preprocessed) or not architecture:
        raise UsageError(f"No surrogate can start from {initialisation}: its architecture cannot be built anew.")
    return Source(target.module, architecture, target.input_shape[0])
