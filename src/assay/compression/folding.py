"""Batch normalisation drawn into the convolution before it, as deployment does."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar, NamedTuple

import torch

from assay.base.errors import DataError
from assay.compression.compression import Compression, Workshop, compression

Norm = torch.nn.BatchNorm2d
Convolution = torch.nn.Conv2d


class Pair(NamedTuple):
    """A convolution and the normalisation that alone is applied to what it gives."""

    convolution: Convolution
    norm: Norm


def pairs(network: torch.nn.Module, workshop: Workshop) -> list[Pair]:
    """All such pairs, found by watching a few images pass; a module that is used twice is in none."""
    made: dict[int, tuple[Convolution, Any]] = {}
    found: list[Pair] = []
    used: Counter[torch.nn.Module] = Counter()

    def after(module: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        used[module] += 1
        if isinstance(module, Convolution):
            # The output is kept alive: Python gives the identity of a freed tensor to the next one.
            made[id(output)] = module, output
        elif isinstance(module, Norm) and id(inputs[0]) in made:
            found.append(Pair(made[id(inputs[0])][0], module))

    watched = [module for module in network.modules() if isinstance(module, Convolution | Norm)]
    hooks = [module.register_forward_hook(after) for module in watched]
    with torch.no_grad():
        network.eval()(_images(workshop))
    for hook in hooks:
        hook.remove()
    return [pair for pair in found if used[pair.convolution] == used[pair.norm] == 1]


@compression
class Fold(Compression):
    """Every batch normalisation that follows a convolution becomes part of its kernel and bias."""

    name: ClassVar[str] = "fold"

    def restructure(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """Gives every folded convolution a bias, and puts nothing in place of its normalisation."""
        for convolution, norm in pairs(network, workshop):
            if convolution.bias is None:
                convolution.bias = torch.nn.Parameter(convolution.weight.new_zeros(len(convolution.weight)))
            _replace(network, norm, torch.nn.Identity())
        return network

    @torch.no_grad()
    def apply(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """Folds, and checks on noise that the answers stay.

        Raises:
            DataError: if a normalisation has no running statistics, or the folded network answers otherwise: then
                something else reads the convolution's output.
        """
        before = network.eval()(_images(workshop))
        together = pairs(network, workshop)
        network = self.restructure(network, workshop)
        for convolution, norm in together:
            if norm.running_mean is None or norm.running_var is None or convolution.bias is None:
                raise DataError("A batch normalisation without running statistics cannot be folded.")
            gain = (norm.running_var + norm.eps).rsqrt() * (1.0 if norm.weight is None else norm.weight)
            offset = 0.0 if norm.bias is None else norm.bias
            convolution.weight.mul_(gain.view(-1, 1, 1, 1))
            convolution.bias.copy_((convolution.bias - norm.running_mean) * gain + offset)
        after = network(_images(workshop))
        if not torch.allclose(before, after, rtol=1e-3, atol=1e-3 * float(before.abs().max())):
            raise DataError("Batch normalisation cannot be folded: more than it reads what its convolution gives.")
        return network


def _replace(network: torch.nn.Module, old: torch.nn.Module, new: torch.nn.Module) -> None:
    for module in network.modules():
        for name, child in module.named_children():
            if child is old:
                setattr(module, name, new)


def _images(workshop: Workshop) -> torch.Tensor:
    """Two images of noise, always the same."""
    noise = torch.rand(2, *workshop.input_shape, generator=torch.Generator().manual_seed(0))
    return noise.to(workshop.device)
