"""A copy of a network that computes the same in less time: batch normalisation folded, kernels channels last."""

from __future__ import annotations

import torch
from torch.fx.experimental.optimization import fuse

from assay.data.images import Shape

CLOSE = 1e-3
"""How far a folded copy's logits and gradients may be from the network's, as a share of the largest of each."""

TRIED = 4
"""Random images that both are tried on."""


def folded(module: torch.nn.Module, shape: Shape) -> torch.nn.Module | None:
    """A copy for gradients in evaluation mode that takes images (n, c, h, w) of ``shape``, or None.

    Batch normalisation that follows a convolution becomes part of it, and kernels lie channels last in memory. None
    where there is no convolution, where the network cannot be traced, where it answers at random, or where the copy
    does not answer and slope as it does on random images, to within rounding. The network is not changed.
    """
    if not any(isinstance(layer, torch.nn.Conv2d) for layer in module.modules()):
        return None
    try:
        copy = fuse(module).requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        same = _same(module, copy, shape)
    except Exception:  # a network's own code may fail in any way when it is traced, or given another layout
        return None
    return copy if same else None


def channels_last(images: torch.Tensor) -> torch.Tensor:
    """Images (n, c, h, w) as a folded copy takes them."""
    return images.contiguous(memory_format=torch.channels_last)


def _same(module: torch.nn.Module, copy: torch.nn.Module, shape: Shape) -> bool:
    images = torch.rand(TRIED, *shape, generator=torch.Generator().manual_seed(0))
    own = _answers(module, images)
    others = _answers(module, images), _answers(copy, channels_last(images))
    pairs = [pair for other in others for pair in zip(own, other, strict=True)]
    return all(bool((one - other).abs().max() <= CLOSE * one.abs().max()) for one, other in pairs)


def _answers(module: torch.nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and the gradient of the sum of their squares in the images."""
    with torch.enable_grad():
        inputs = images.detach().requires_grad_(True)
        logits: torch.Tensor = module(inputs)
        (slope,) = torch.autograd.grad(logits.square().sum(), inputs)
    return logits.detach(), slope
