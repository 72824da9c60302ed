"""A smaller network that learns from the larger one's answers."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy

from assay.compression.compression import Compression, Workshop, compression
from assay.targets.module import Preprocessed
from assay.training import Recipe, fit, predict, seeded_build


@compression
class Distil(Compression):
    """Another architecture, trained on softened answers to the training images (Hinton et al., arXiv 1503.02531)."""

    name: ClassVar[str] = "distil"
    uses_images: ClassVar[bool] = True

    architecture: str = Field(default="tiny-cnn", description="The smaller architecture.")
    epochs: int = Field(default=15, ge=1, description="Passes over the images.")
    learning_rate: float = Field(default=0.05, gt=0.0, description="The learning rate to begin with.")
    batch_size: int = Field(default=128, ge=1, description="Images per training step.")
    temperature: float = Field(default=4.0, gt=0.0, description="What logits are divided by before the softmax.")

    def restructure(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """A fresh network of the smaller architecture, behind the same preprocessing."""
        small = seeded_build(self.architecture, workshop.num_classes, workshop.input_shape, workshop.seed)
        return Preprocessed(small, network.preprocessing) if isinstance(network, Preprocessed) else small

    def apply(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """The smaller network, trained on the larger one's softened answers.

        Raises:
            DataError: if there are no images.
        """
        images = workshop.need_images("Distilling")
        softened = (predict(network, images, workshop.device) / self.temperature).softmax(dim=1)
        student = self.restructure(network, workshop)

        def loss(
            module: torch.nn.Module, batch: torch.Tensor, wanted: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            logits = module(batch)
            # Gradients of softened answers shrink by 1 / temperature^2; so the learning rate means the same at any.
            return self.temperature**2 * cross_entropy(logits / self.temperature, wanted), logits

        recipe = Recipe(epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate)
        fit(
            student,
            images,
            softened,
            recipe,
            seed=workshop.seed,
            device=workshop.device,
            progress=workshop.progress,
            label="distilling the sibling",
            loss=loss,
        )
        return student
