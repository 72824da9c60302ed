"""Policies that ask a network of the owner's own, kept beside the service, about each image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from typing_extensions import override

from assay.access.policies.policy import Policy
from assay.base.digests import digest_file
from assay.base.errors import LoadError, UsageError
from assay.data.images import Shape
from assay.targets.architectures import ARCHITECTURES, build
from assay.targets.module import module_digest

CHUNK = 256
"""Images that an owner's network sees at a time."""

SUFFIX = ".safetensors"


class OwnerPolicy(Policy):
    """A policy with a network behind it.

    ``network`` is an architecture's name, and the network then has random weights drawn from ``seed``; or a file that
    `keep_network` wrote. Identities hold the file's SHA-256, never its name.
    """

    network: str = Field(default="tiny-cnn")
    seed: int = Field(default=0, ge=0)

    def model_post_init(self, context: Any) -> None:
        """Refuse at once what is not there.

        Raises:
            UsageError: if the architecture is unknown or the file is missing.
        """
        if not self.network.endswith(SUFFIX):
            if ":" not in self.network:
                ARCHITECTURES.get(self.network)
        elif not Path(self.network).is_file():
            raise UsageError(f"The policy {self.name!r} needs its network, and there is no file {self.network}.")

    @override
    def imitated(self, seed: int) -> Policy:
        """With a random network: of the same architecture, unless the owner's is in a file."""
        network = "tiny-cnn" if self.network.endswith(SUFFIX) else self.network
        return self.model_copy(update={"network": network, "seed": seed})

    @override
    def describe(self) -> dict[str, Any]:
        described = super().describe()
        if self.network.endswith(SUFFIX):
            described |= {"network": digest_file(Path(self.network)), "seed": None}
        return described

    def owned(self, classes: int, images: torch.Tensor) -> torch.nn.Module:
        """The network, in evaluation mode, from images like these, in [0, 1], to logits (n, classes).

        Raises:
            LoadError: if the file is damaged, or its network is for other images or classes.
        """
        channels, height, width = images.shape[1:]
        if self.network.endswith(SUFFIX):
            return _kept(self.network, classes, (channels, height, width))
        return _random(self.network, classes, (channels, height, width), self.seed)


def chunks(images: torch.Tensor) -> Iterator[torch.Tensor]:
    """Images (n, ...) in parts of at most `CHUNK`, in order; one empty part if there is none."""
    yield from (images[start : start + CHUNK] for start in range(0, max(1, len(images)), CHUNK))


def keep_network(
    module: torch.nn.Module, architecture: str, num_classes: int, input_shape: Shape, folder: Path
) -> Path:
    """Write a network to ``<SHA-256 of its weights>.safetensors`` in a folder, with what is needed to rebuild it."""
    path = folder / f"{module_digest(module)}{SUFFIX}"
    folder.mkdir(parents=True, exist_ok=True)
    about = {"architecture": architecture, "num_classes": num_classes, "input_shape": list(input_shape)}
    state = {name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}
    save_file(state, path, {"assay": json.dumps(about)})
    return path


@lru_cache(maxsize=8)
def _kept(file: str, classes: int, shape: Shape) -> torch.nn.Module:
    path = Path(file)
    try:
        with safe_open(path, "pt") as opened:
            about = json.loads((opened.metadata() or {})["assay"])
        module = build(about["architecture"], about["num_classes"], tuple(about["input_shape"]))
        module.load_state_dict(load_file(path))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise LoadError(f"{path.name} is not a network that was kept for a policy: {error}.") from error
    if (about["num_classes"], tuple(about["input_shape"])) != (classes, shape):
        raise LoadError(
            f"{path.name} is a network for {about['num_classes']} classes and images of "
            f"{'x'.join(map(str, about['input_shape']))}; the service has {classes} and {'x'.join(map(str, shape))}."
        )
    return module.eval().requires_grad_(False)


@lru_cache(maxsize=8)
def _random(architecture: str, classes: int, shape: Shape, seed: int) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build(architecture, classes, shape).eval().requires_grad_(False)
