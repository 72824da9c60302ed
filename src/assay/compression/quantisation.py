"""Weights and activations on grids of 8 or 4 bits, as on-device runtimes keep them (Jacob et al., CVPR 2018)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from assay.base.errors import DataError
from assay.compression.compression import Compression, Workshop, compression, matrices
from assay.data.images import batches
from assay.targets.grid import on_grid

Granularity = Literal["channel", "tensor"]
SCALE, ZERO = "input_scale", "input_zero"


def quantised(weight: torch.Tensor, bits: int, granularity: Granularity) -> torch.Tensor:
    """A weight on a symmetric grid of whole numbers within +-(2^(bits - 1) - 1), times one scale, straight-through.

    The largest magnitude, of the whole tensor or of each output channel (axis 0), is the end of the grid.
    """
    # Symmetric and without -2^(bits - 1), as runtimes keep weights: no zero point to multiply by in every product.
    most = 2 ** (bits - 1) - 1
    magnitude = weight.detach().abs()
    if granularity == "channel":
        scale = magnitude.flatten(1).amax(dim=1).view(-1, *[1] * (weight.ndim - 1)) / most
    else:
        scale = magnitude.amax() / most
    return on_grid(weight, scale.clamp_min(torch.finfo(weight.dtype).tiny), 0.0, -most, most)


class Quantisation(Compression):
    """Kernels and matrices on a symmetric grid; biases and norms stay as they are."""

    bits: ClassVar[int]

    granularity: Granularity = Field(
        default="channel", description="One scale for each output channel, or one for the whole tensor."
    )

    @torch.no_grad()
    def apply(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """Rounds all kernels and matrices to their grids."""
        for weight in matrices(network).values():
            weight.copy_(quantised(weight, self.bits, self.granularity))
        return network

    def straight_through(self, network: torch.nn.Module) -> dict[str, torch.Tensor]:
        """All parameters, those that the step quantises on their grid, with gradients: for training with the step."""
        weights = matrices(network)
        return {
            name: quantised(parameter, self.bits, self.granularity) if name in weights else parameter
            for name, parameter in network.named_parameters()
        }


@compression
class Int8(Quantisation):
    """Weights of 8 bits."""

    name: ClassVar[str] = "int8"
    bits: ClassVar[int] = 8


@compression
class Int4(Quantisation):
    """Weights of 4 bits."""

    name: ClassVar[str] = "int4"
    bits: ClassVar[int] = 4


@compression
class Activations(Compression):
    """The inputs of all layers with weights on grids whose ends are the extremes seen on training images (static)."""

    name: ClassVar[str] = "activations"
    uses_images: ClassVar[bool] = True

    bits: int = Field(default=8, ge=2, le=16, description="Bits of an activation.")
    images: int = Field(default=512, ge=1, description="Training images at most, from which the ranges are taken.")

    def restructure(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """Adds to every layer with weights a scale, a zero point, and the rounding of its input."""
        for layer in weighted(network):
            like = next(layer.parameters())
            layer.register_buffer(SCALE, like.new_ones(()))
            layer.register_buffer(ZERO, like.new_zeros(()))
            layer.register_forward_pre_hook(_OnGrid(self.bits))
        return network

    @torch.no_grad()
    def apply(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """Watches images pass, and gives every layer the grid between its input's extremes.

        Raises:
            DataError: if there are no images.
        """
        images = workshop.need_images("Calibrating activations")
        seen: dict[torch.nn.Module, tuple[float, float]] = {}

        def watch(layer: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
            # 0 is always in the range: padding and ReLU make it common, and it must be exact on the grid.
            low, high = seen.get(layer, (0.0, 0.0))
            seen[layer] = min(low, float(inputs[0].min())), max(high, float(inputs[0].max()))

        hooks = [layer.register_forward_pre_hook(watch) for layer in weighted(network)]
        left = self.images
        for batch in batches(images, min(128, left)):
            network.eval()(batch.images[:left].to(workshop.device))
            left -= len(batch.images)
            if left <= 0:
                break
        for hook in hooks:
            hook.remove()
        network = self.restructure(network, workshop)
        for layer, (low, high) in seen.items():
            scale = max(high - low, 1e-12) / (2**self.bits - 1)
            layer.get_buffer(SCALE).fill_(scale)
            layer.get_buffer(ZERO).fill_(round(-low / scale))
        return network


class _OnGrid:
    """What is done to a layer's input before the layer sees it."""

    def __init__(self, bits: int) -> None:
        self.high = 2**bits - 1

    def __call__(self, layer: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        first, *others = inputs
        return (on_grid(first, layer.get_buffer(SCALE), layer.get_buffer(ZERO), 0, self.high), *others)


def weighted(network: torch.nn.Module) -> list[torch.nn.Module]:
    """Layers that hold a kernel or a matrix themselves.

    Raises:
        DataError: if there are none.
    """
    layers = [
        layer
        for layer in network.modules()
        if any(p.ndim > 1 for p in layer.parameters(recurse=False)) and not isinstance(layer, torch.nn.Embedding)
    ]
    if not layers:
        raise DataError("The network has no layers with weights of their own, so it cannot be compressed.")
    return layers
