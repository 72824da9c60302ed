"""A sibling as files: safetensors, and JSON that says how its network is built."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from assay.base.errors import AssayError, LoadError
from assay.base.frozen import Frozen
from assay.catalogue.weights import Preprocessing
from assay.compression.compression import Compression, Workshop, described
from assay.data.images import Shape
from assay.targets.architectures import build
from assay.targets.module import Preprocessed

WEIGHTS = "sibling.safetensors"
DESCRIPTION = "sibling.json"


class Sibling(Frozen):
    """What a saved sibling is: ``compressions`` of a network of some ``architecture``, None where that has no name.

    ``seed`` is that of a distilled network's build; ``note`` says what else was done.
    """

    architecture: str | None
    num_classes: int
    input_shape: Shape
    preprocessing: Preprocessing
    compressions: tuple[dict[str, Any], ...]
    seed: int = 0
    note: str = ""

    @classmethod
    def of(
        cls,
        steps: Sequence[Compression],
        workshop: Workshop,
        preprocessing: Preprocessing,
        architecture: str | None,
        note: str = "",
    ) -> Sibling:
        """The description of a network that was compressed by steps."""
        return cls(
            architecture=architecture,
            num_classes=workshop.num_classes,
            input_shape=workshop.input_shape,
            preprocessing=preprocessing,
            compressions=tuple(step.describe() for step in steps),
            seed=workshop.seed,
            note=note,
        )


def preprocessing_of(network: torch.nn.Module) -> Preprocessing:
    """What a network does to pixels first, as far as that is known of it."""
    return network.preprocessing if isinstance(network, Preprocessed) else Preprocessing()


def save_sibling(network: torch.nn.Module, sibling: Sibling, folder: Path) -> list[Path]:
    """Write both files into a folder; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / WEIGHTS, folder / DESCRIPTION]
    save_file({name: value.cpu().contiguous() for name, value in network.state_dict().items()}, paths[0])
    paths[1].write_text(sibling.model_dump_json(indent=1))
    return paths


def read_description(folder: Path) -> Sibling:
    """What a folder says that its sibling is.

    Raises:
        LoadError: if the file is missing or damaged.
    """
    try:
        return Sibling.model_validate_json((folder / DESCRIPTION).read_text())
    except (OSError, ValidationError) as error:
        raise LoadError(f"The sibling in {folder} cannot be loaded: {str(error).splitlines()[0]}") from error


def load_sibling(folder: Path, network: torch.nn.Module | None = None) -> tuple[torch.nn.Module, Sibling]:
    """The sibling, in evaluation mode and frozen, taking pixels in [0, 1] and giving logits.

    ``network`` is the uncompressed one, whose structure is copied; without it the named architecture is built.

    Raises:
        LoadError: if a file is missing, damaged, or does not fit the other, or the architecture has no name.
    """
    sibling = read_description(folder)
    try:
        if network is None:
            if sibling.architecture is None:
                raise LoadError("its architecture has no name, so that only its owner can build it")
            inner = build(sibling.architecture, sibling.num_classes, sibling.input_shape)
            network = Preprocessed(inner, sibling.preprocessing)
        made = copy.deepcopy(network).cpu()
        workshop = Workshop(sibling.input_shape, sibling.num_classes, seed=sibling.seed)
        for step in described(sibling.compressions):
            made = step.restructure(made, workshop)
        made.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError, AssayError) as error:
        raise LoadError(f"The sibling in {folder} cannot be loaded: {str(error).splitlines()[0]}") from error
    return made.eval().requires_grad_(False), sibling
