"""Penultimate features of a network, and training its classifier on them alone."""

from __future__ import annotations

from typing import Self

import torch
from torch import nn

from assay.base.errors import DataError
from assay.base.progress import Progress, silent
from assay.catalogue.weights import Preprocessing
from assay.data.images import Images, batches
from assay.targets.module import Preprocessed


def head_name(network: nn.Module) -> str:
    """The name of the classifier of a network that ends in a linear layer: the last one that it registers.

    Raises:
        DataError: if it has no linear layer.
    """
    linear: list[str] = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise DataError(f"{type(network).__name__} has no linear layer that could be its classifier.")
    return linear[-1]


@torch.no_grad()
def features(module: nn.Module, images: Images, device: torch.device, progress: Progress | None = None) -> torch.Tensor:
    """What the classifier of a network sees of n images: float32 (n, d), on the device. It ends in evaluation mode.

    Raises:
        DataError: if the network's answer is not that of its last linear layer.
    """
    module.to(device).eval()
    head = module.get_submodule(head_name(module))
    seen: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    try:
        with (progress or silent()).step("computing features", len(images)) as step:
            for batch in batches(images, 128):
                logits = module(batch.images.to(device))
                with_features = head.forward(seen[-1])  # unlike a call, this does not come by the hook
                if seen[-1].ndim != 2 or not torch.allclose(with_features, logits, rtol=1e-3, atol=1e-5):
                    raise DataError(f"{type(module).__name__} does not end in a linear layer: it has no features.")
                step.advance(len(batch.images))
    finally:
        hook.remove()
    return torch.cat(seen).float()


class Frozen(Preprocessed):
    """A network of which only some parameters are trained.

    It is always in evaluation mode: batch statistics stay those of pre-training, and nothing is dropped out.
    """

    def train(self, mode: bool = True) -> Self:
        """As any module, but for the network inside."""
        super().train(mode)
        self.module.eval()
        return self


class LinearProbe(Frozen):
    """A network of which the classifier alone is trained; its features stay as they are."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__(network.requires_grad_(False), preprocessing)
        self.head.requires_grad_(True)

    @property
    def head(self) -> nn.Module:
        """The classifier, which maps features (n, d) to logits."""
        return self.module.get_submodule(head_name(self.module))

    def features(self, images: Images, device: torch.device, progress: Progress | None = None) -> torch.Tensor:
        """Features (n, d) before the last layer."""
        return features(self, images, device, progress)
