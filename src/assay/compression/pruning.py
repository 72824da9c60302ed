"""Weights set to 0, one by one or filter by filter, and training afterwards that keeps them at 0."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from assay.base.errors import DataError
from assay.compression.compression import Compression, Workshop, compression, matrices
from assay.compression.folding import pairs
from assay.training import Loss, Recipe, fit, plain_loss


@compression
class Prune(Compression):
    """The weights of smallest magnitude become 0, over all kernels and matrices together (Han et al., NIPS 2015)."""

    name: ClassVar[str] = "prune"

    share: float = Field(default=0.5, gt=0.0, lt=1.0, description="Share of the weights that become 0.")

    @torch.no_grad()
    def apply(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """Sets the smallest weights to 0."""
        weights = matrices(network)
        magnitudes = torch.cat([weight.abs().flatten() for weight in weights.values()])
        count = round(self.share * len(magnitudes))
        # Ranks, not a threshold: where many weights are equal a threshold would drop too many or too few.
        dropped = torch.zeros_like(magnitudes, dtype=torch.bool)
        dropped[magnitudes.argsort(stable=True)[:count]] = True
        start = 0
        for weight in weights.values():
            weight.masked_fill_(dropped[start : start + weight.numel()].view_as(weight), 0.0)
            start += weight.numel()
        return network


@compression
class PruneFilters(Compression):
    """In every convolution the filters with the smallest sum of magnitudes vanish (Li et al., ICLR 2017).

    A filter, its bias and the normalisation behind it become 0, which is what removing them comes to.
    """

    name: ClassVar[str] = "filters"

    share: float = Field(default=0.25, gt=0.0, lt=1.0, description="Share of each convolution's filters.")

    @torch.no_grad()
    def apply(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """Sets the smallest filters to 0, and what normalisation adds behind them.

        Raises:
            DataError: if there are no convolutions.
        """
        convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
        if not convolutions:
            raise DataError("The network has no convolutions whose filters could be pruned.")
        norms = {id(pair.convolution): pair.norm for pair in pairs(network, workshop)}
        for convolution in convolutions:
            sizes = convolution.weight.abs().flatten(1).sum(dim=1)
            gone = sizes.argsort(stable=True)[: int(self.share * len(sizes))]
            norm = norms.get(id(convolution))
            behind = (norm.weight, norm.bias) if norm is not None else ()
            for values in (convolution.weight, convolution.bias, *behind):
                if values is not None:
                    values[gone] = 0.0
        return network


@compression
class Tune(Compression):
    """Training on labelled images, for as long as the accuracy that was lost needs; what is exactly 0 stays 0."""

    name: ClassVar[str] = "tune"
    uses_images: ClassVar[bool] = True

    epochs: int = Field(default=2, ge=1, description="Passes over the images.")
    learning_rate: float = Field(default=0.005, gt=0.0, description="The learning rate to begin with.")
    batch_size: int = Field(default=64, ge=1, description="Images per training step.")

    def apply(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """Trains on the images and their labels.

        Raises:
            DataError: if there are no images.
        """
        images = workshop.need_images("Fine-tuning")
        recipe = Recipe(epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate)
        return tuned(network, torch.from_numpy(images.labels), recipe, workshop)


def tuned(
    network: torch.nn.Module,
    targets: torch.Tensor,
    recipe: Recipe,
    workshop: Workshop,
    loss: Loss = plain_loss,
    clip: float | None = None,
) -> torch.nn.Module:
    """The network trained on in place, statistics of normalisation included; parameters that are exactly 0 stay 0."""
    images = workshop.need_images("Training")
    network.requires_grad_(True)
    # Masking gradients suffices: the decay and the momentum of a weight that is 0 are 0 too.
    held = [
        parameter.register_hook((parameter.detach() != 0).mul)  # type: ignore[no-untyped-call]
        for parameter in network.parameters()
    ]
    fit(
        network,
        images,
        targets,
        recipe,
        seed=workshop.seed,
        device=workshop.device,
        progress=workshop.progress,
        label="training the sibling",
        loss=loss,
        clip=clip,
    )
    for hook in held:
        hook.remove()
    return network.requires_grad_(False)
