"""What semi-supervised learners show a network: altered inputs, and mixtures; images and texts each in their way."""

from __future__ import annotations

import torch

from assay.targets.text.network import text_network
from assay.training import Recipe
from assay.training.feeding import moved
from assay.training.words import WEAK, altered


def weakly_altered(module: torch.nn.Module, inputs: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Images moved by the recipe's shift and flip; texts with a tenth of their words dropped and swapped."""
    if text_network(module) is not None:
        return altered(inputs, WEAK)
    return moved(inputs, recipe.shift, recipe.flip)


def mix(first: torch.Tensor, second: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Rows of two tensors (n, ...) in shares (n,) of the first."""
    weight = share.view(-1, *[1] * (first.ndim - 1))
    return weight * first + (1.0 - weight) * second


def mixed_logits(
    module: torch.nn.Module, inputs: torch.Tensor, order: torch.Tensor, share: torch.Tensor
) -> torch.Tensor:
    """Logits (n, classes) of every input i mixed with input ``order[i]``, in ``share[i]`` (n,) of itself.

    Images are mixed pixel by pixel; of texts the features that the classifier sees (senMixup: Guo, Mao and Zhang,
    Augmenting Data with Mixup for Sentence Classification, arXiv 1905.08941, section 3).
    """
    network = text_network(module)
    if network is None:
        logits: torch.Tensor = module(mix(inputs, inputs[order], share))
        return logits
    features = network.encode(inputs)
    logits = network.head(mix(features, features[order], share))
    return logits
