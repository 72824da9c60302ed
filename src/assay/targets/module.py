"""A network with its preprocessing inside."""

from __future__ import annotations

import torch

from assay.base.digests import digest_arrays
from assay.catalogue.weights import Preprocessing


class Preprocessed(torch.nn.Module):
    """``module`` after `Preprocessing`, so that callers work in pixels of [0, 1]."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, module: torch.nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.module = module
        self.preprocessing = preprocessing
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images float32 (n, c, h, w) in [0, 1] to logits."""
        size = self.preprocessing.size
        if size is not None and tuple(images.shape[-2:]) != size:
            images = torch.nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
        if self.preprocessing.channels == "bgr":
            images = images.flip(1)
        logits: torch.Tensor = self.module((images * self.preprocessing.scale - self.mean) / self.std)
        return logits


@torch.no_grad()
def evaluate(module: torch.nn.Module, images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Logits float32 (n, classes) on the CPU, computed on ``device`` without gradients."""
    answer: torch.Tensor = module(images.to(device))
    return answer.float().cpu()


def module_digest(module: torch.nn.Module) -> str:
    """SHA-256 of a module's state dictionary: names, types, shapes and bytes."""
    state = {name: tensor.detach().cpu() for name, tensor in module.state_dict().items()}
    return digest_arrays(**{name: tensor.contiguous().numpy() for name, tensor in state.items()})
