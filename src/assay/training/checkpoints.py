"""What a training leaves in a file after every epoch, and the epoch that was judged best."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from assay.base.digests import digest_arrays, digest_json
from assay.base.files import replacing
from assay.data.images import Images
from assay.targets.module import module_digest
from assay.training.recipe import Recipe
from assay.training.unlabelled import Loss, SemiSupervised


class Epoch(NamedTuple):
    """One pass over the data: mean loss and accuracy over its batches, the last learning rate, and its wall time.

    ``images_per_second`` are those of the data, unlabelled ones not counted.
    """

    loss: float
    accuracy: float
    learning_rate: float
    seconds: float
    images_per_second: float = 0.0


Log = tuple[Epoch, ...]
"""One entry an epoch."""


class Part(Protocol):
    """Something that a checkpoint holds."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Go on from what a checkpoint kept."""


class Best:
    """The weights of the epoch that was judged best."""

    def __init__(self, module: torch.nn.Module, judge: Callable[[], float] | None) -> None:
        self.module, self.judge = module, judge
        self.score = -math.inf
        self.weights: dict[str, torch.Tensor] = {}

    def look(self) -> None:
        """Judge the network as it is, and keep its weights if no epoch was better."""
        if self.judge is not None and (score := self.judge()) >= self.score:
            self.score = score
            self.weights = {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}

    def restore(self) -> None:
        """Give the network the weights of the best epoch, if any was judged."""
        if self.weights:
            self.module.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"score": self.score, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.score, self.weights = state["score"], state["weights"]


class Checkpoint:
    """What a checkpoint holds. Every epoch draws from generators seeded by its number, so none of them is kept."""

    def __init__(self, file: Path | None, identity: str, parts: dict[str, Part]) -> None:
        self.file, self.identity, self.parts = file, identity, parts

    def save(self, log: list[Epoch]) -> None:
        """Replace the file, if there is one to keep."""
        if self.file is None:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        with replacing(self.file, durable=False) as partial:
            torch.save({"identity": self.identity, "log": [tuple(epoch) for epoch in log], **state}, partial)

    def restore(self) -> list[Epoch]:
        """Put all parts where the file left them, if it is of this training; the epochs done."""
        if self.file is None or not self.file.exists():
            return []
        try:
            state = torch.load(self.file, weights_only=True, map_location="cpu")
        except Exception:  # whatever a damaged file provokes, training starts afresh
            return []
        if state.get("identity") != self.identity:
            return []
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return [Epoch(*entry) for entry in state["log"]]


def identity_of(
    module: torch.nn.Module,
    images: torch.Tensor | Images,
    targets: torch.Tensor,
    recipe: Recipe,
    seed: int,
    loss: Loss | SemiSupervised,
    loss_name: str,
) -> str:
    """What a checkpoint must have been made of to be gone on with."""
    parts: dict[str, Any] = {
        "start": module_digest(module),
        "images": _content(images),
        "targets": digest_arrays(y=targets.cpu().numpy()),
        "seed": seed,
        "loss": loss_name,
    }
    if isinstance(loss, SemiSupervised):
        parts |= {"unlabelled": _content(loss.images), "ratio": loss.ratio}
    return digest_json({**parts, "recipe": recipe.model_dump()})


def _content(images: torch.Tensor | Images) -> str:
    return digest_arrays(x=images.cpu().numpy()) if isinstance(images, torch.Tensor) else images.digest
