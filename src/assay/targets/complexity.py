"""Parameters, multiply-accumulates and layer types of a network, computed without weights."""

from __future__ import annotations

import re
import warnings

import torch
from torch.utils.flop_counter import FlopCounterMode

from assay.base.errors import LoadError
from assay.catalogue.enrich import Computed

Shape = tuple[int, int, int]

_ATTENTION = re.compile(r"attn|attention|mhsa", re.IGNORECASE)
_GATES = re.compile(r"split|channel|spatial|selective|cbam|gate", re.IGNORECASE)
_LAYER_NORM = re.compile(r"layer_?norm", re.IGNORECASE)


def complexity(module: torch.nn.Module, input_shape: Shape) -> Computed:
    """Cost of one forward pass of one image (channels, height, width), and the layer types of the network.

    MACs are half of what torch's `FlopCounterMode` counts: convolutions, matrix products and attention; biases,
    normalisation, activations and pooling are not counted. The module may be on the meta device; it is put into
    evaluation mode, and gradients are switched off (the counter fails on views of parameters that require them).

    Raises:
        LoadError: if the network cannot process such an image.
    """
    module = module.eval().requires_grad_(False)
    device = next(module.parameters()).device
    counter = FlopCounterMode(display=False)
    try:
        with warnings.catch_warnings(), torch.no_grad(), counter:
            warnings.simplefilter("ignore")
            module(torch.empty(1, *input_shape, device=device))
    except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
        size = "x".join(map(str, input_shape))
        raise LoadError(f"{type(module).__name__} cannot process an image of {size}: {error}") from error
    layers = list(module.modules())
    names = {type(layer).__name__ for layer in layers}
    return Computed(
        input=input_shape,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        macs=counter.get_total_flops() // 2,
        dropout=any(_drops(layer) for layer in layers),
        batch_norm=any("BatchNorm" in name for name in names),
        layer_norm=any(_LAYER_NORM.search(name) for name in names),
        attention=any(_ATTENTION.search(name) and not _GATES.search(name) for name in names),
    )


def _drops(layer: torch.nn.Module) -> bool:
    return isinstance(layer, torch.nn.modules.dropout._DropoutNd) and layer.p > 0
