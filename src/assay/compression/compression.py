"""A step of compression as a type, its registry, and several steps in a row."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pydantic import ValidationError

from assay.base.digests import digest_json
from assay.base.errors import DataError, UsageError
from assay.base.frozen import Frozen
from assay.base.progress import Progress, silent
from assay.base.registry import Registry
from assay.base.settings import parse_setting
from assay.data.images import Images, Shape
from assay.targets.target import CPU


@dataclass(frozen=True)
class Workshop:
    """What an owner has at hand to compress a network: training images with their labels, and a seed."""

    input_shape: Shape
    num_classes: int
    images: Images | None = None
    seed: int = 0
    device: torch.device = CPU
    progress: Progress = field(default_factory=silent)

    def need_images(self, what: str) -> Images:
        """The images.

        Raises:
            DataError: if there are none; the message says what they are for.
        """
        if self.images is None:
            raise DataError(f"{what} needs training images, and the target has neither members nor an auxiliary set.")
        return self.images


class Compression(Frozen):
    """One step: a network that takes pixels (n, c, h, w) in [0, 1] to a smaller one that does.

    Fields are its options; the first one is what ``name=value`` sets. `restructure` makes the changes of structure
    alone, so that the weights of a compressed network find their places in a fresh one.
    """

    name: ClassVar[str]
    uses_images: ClassVar[bool] = False

    def restructure(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """The network, which may be changed in place, with the modules that the step leaves behind."""
        return network

    def apply(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """The network, which may be changed in place, after the step.

        Raises:
            DataError: if images are needed and missing, or the network has nothing that the step could work on.
        """
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Name and options, for identities and files."""
        return {"name": self.name, **self.model_dump(mode="json")}


COMPRESSIONS: Registry[type[Compression]] = Registry("compression", "assay.compression")


def compression(kind: type[Compression]) -> type[Compression]:
    """Class decorator that registers a compression under its own name."""
    return COMPRESSIONS.add(kind.name)(kind)


def is_compression(text: str) -> bool:
    """Whether a text begins with the name of a compression: references of models never do."""
    return re.split("[+=:]", text, maxsplit=1)[0] in COMPRESSIONS.names()


def parse(text: str) -> tuple[Compression, ...]:
    """Steps, joined by ``+`` in the order in which they are done: ``prune=0.5+int8``; see `parse_setting` for each.

    Raises:
        UsageError: if a name is unknown or a value does not fit.
    """
    return tuple(parse_setting(COMPRESSIONS, part) for part in text.split("+"))


def described(descriptions: Sequence[dict[str, Any]]) -> tuple[Compression, ...]:
    """Steps from what `Compression.describe` gave.

    Raises:
        UsageError: if one is unknown or its options do not fit.
    """
    return tuple(_make(str(d.get("name")), {k: v for k, v in d.items() if k != "name"}) for d in descriptions)


def _make(name: str, options: dict[str, Any]) -> Compression:
    try:
        return COMPRESSIONS.get(name).model_validate(options)
    except ValidationError as error:
        raise UsageError(f"The compression {name!r} is not valid: {error.errors()[0]['msg']}.") from None


def compress(network: torch.nn.Module, steps: Sequence[Compression], workshop: Workshop) -> torch.nn.Module:
    """A compressed copy of a network, in evaluation mode and frozen.

    The network takes pixels (n, c, h, w) in [0, 1], preprocessing inside, and gives logits (n, classes).

    Raises:
        DataError: see `Compression.apply`.
    """
    made = copy.deepcopy(network).to(workshop.device)
    for step in steps:
        made = step.apply(made, workshop)
    return made.eval().requires_grad_(False)


def identity(steps: Sequence[Compression], workshop: Workshop) -> str:
    """What a compressed copy of one network depends on: the steps, the seed, and the images if they are used."""
    used = workshop.images.digest if workshop.images and any(step.uses_images for step in steps) else None
    return digest_json({"steps": [step.describe() for step in steps], "images": used, "seed": workshop.seed})


def matrices(network: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The parameters that compression works on: kernels and matrices, by name, without biases and norms.

    Raises:
        DataError: if there are none.
    """
    found = {name: parameter for name, parameter in network.named_parameters() if parameter.ndim > 1}
    if not found:
        raise DataError("The network has no kernels or matrices among its parameters, so it cannot be compressed.")
    return found
