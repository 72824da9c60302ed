"""A stolen copy as files: weights, and what is needed to rebuild the network around them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from assay.base.errors import LoadError
from assay.catalogue.weights import Preprocessing
from assay.data.images import Shape
from assay.methods.stealing.surrogates.lora import merged_state
from assay.targets.architectures import build
from assay.targets.module import Preprocessed

WEIGHTS = "surrogate.safetensors"
DESCRIPTION = "surrogate.json"


class Network(BaseModel):
    """A trained network: what it is, and what images go through before it sees them.

    ``size`` (height, width) is what images are resized to; then come ``scale``, ``mean`` and ``std``, see
    `Preprocessing`; ``order`` is that of the channels which the network expects. A mean for each of several channels
    says how many the network has: grey images are repeated.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    architecture: str
    num_classes: int
    input_shape: Shape
    size: tuple[int, int]
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    order: Literal["rgb", "bgr"] = "rgb"

    @property
    def channels(self) -> int:
        """Channels that the network takes."""
        return max(self.input_shape[0], len(self.mean))

    def build(self) -> Preprocessed:
        """The network with random weights, its preprocessing inside."""
        network = build(self.architecture, self.num_classes, (self.channels, *self.size))
        seen = Preprocessing(scale=self.scale, mean=self.mean, std=self.std, size=self.size, channels=self.order)
        return Preprocessed(network, seen)


class Surrogate(Network):
    """What a copy is and what it cost.

    ``queries`` are images asked, ``agreement`` is the share of unseen test images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    queries: int
    price: float
    agreement: float


N = TypeVar("N", bound=Network)


def reduced(shape: Shape, largest_side: int) -> tuple[int, int]:
    """Height and width of a shape (c, h, w), scaled down so that neither is above ``largest_side``."""
    scale = min(1.0, largest_side / max(shape[1:]))
    return max(1, round(shape[1] * scale)), max(1, round(shape[2] * scale))


def resizing(network: torch.nn.Module, size: tuple[int, int]) -> Preprocessed:
    """The network, resizing images (n, c, h, w) bilinearly to ``size`` first."""
    return Preprocessed(network, Preprocessing(size=size))


def save_surrogate(module: torch.nn.Module, surrogate: Network, folder: Path) -> list[Path]:
    """Write both files into a folder, adapters merged; their paths.

    Size, scale, mean, std and order of channels are those of the module, whatever the description says.

    Raises:
        TypeError: if the module is not `Preprocessed`, as `resizing` and `prepare` make it.
    """
    if not isinstance(module, Preprocessed):
        raise TypeError(f"{type(module).__name__} does not say how it treats images")
    paths = [folder / WEIGHTS, folder / DESCRIPTION]
    save_file({name: tensor.cpu().contiguous() for name, tensor in merged_state(module).items()}, paths[0])
    seen = module.preprocessing.model_dump(exclude_none=True)
    seen["order"] = seen.pop("channels", "rgb")
    paths[1].write_text(surrogate.model_copy(update=seen).model_dump_json(indent=1))
    return paths


def load_surrogate(folder: Path) -> tuple[Preprocessed, Surrogate]:
    """The copy, in evaluation mode and frozen, taking pixels in [0, 1] and giving logits.

    Raises:
        LoadError: if a file is missing, damaged, or does not fit the other.
    """
    return _load(folder, Surrogate)


def load_network(folder: Path) -> tuple[Preprocessed, Network]:
    """A copy, or a network saved for copies to start from; see `load_surrogate`."""
    return _load(folder, Network)


def _load(folder: Path, kind: type[N]) -> tuple[Preprocessed, N]:
    try:
        described = kind.model_validate_json((folder / DESCRIPTION).read_text())
        module = described.build()
        module.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValidationError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise LoadError(f"The surrogate in {folder} cannot be loaded: {reason}") from error
    return module.eval().requires_grad_(False), described
