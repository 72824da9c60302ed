"""Similarity-unpairing: a sibling that is as accurate, and whose input gradients say little about the model's.

The idea is that of "Publishing Efficient On-device Models Increases Adversarial Vulnerability" (SaTML 2023, arXiv
2212.13700). The paper's loss and hyper-parameters are not known here; those below are Assay's own.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.nn.functional import cosine_similarity, cross_entropy

from assay.compression.compression import Compression, Workshop, compress
from assay.compression.pruning import tuned
from assay.compression.quantisation import Quantisation
from assay.methods.evasion.losses import margin
from assay.training import Loss, Recipe

WARMUP = 0.05
"""Share of the steps over which the learning rate rises."""

Order = Literal["unpair-then-compress", "compress-then-unpair"]


class Unpairing(BaseModel):
    """How a sibling is unpaired.

    The loss of an image x with label y is ``(1 - distil) CE(g(x), y) + distil CE(g(x), softmax f(x)) + weight cos^2``,
    f being the model, g the sibling, and cos the cosine of their margins' gradients by the input, at x and Gaussian
    noise. The square is there because an attacker who sees that the loss falls along a direction turns it round; the
    noise, because one may average gradients over a neighbourhood: each image has its own amount of it, from none to
    ``noise``, so that gradients part at the image too. Statistics of normalisation stay as they are. Gradients through
    gradients are long at first, hence `clip` and a slow start; and they are dear, hence `share`: more passes over the
    images with fewer gradients compared in each keep more accuracy for the same time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    distil: float = Field(default=0.9, ge=0.0, le=1.0, description="Share of the task's loss that follows the model.")
    noise: float = Field(
        default=0.03, ge=0.0, le=1.0, description="Largest standard deviation of the noise on an image's pixels."
    )
    epochs: int = Field(default=10, ge=1, description="Passes over the images.")
    learning_rate: float = Field(default=0.03, gt=0.0, description="The highest learning rate (SGD, cosine).")
    share: float = Field(
        default=0.25,
        gt=0.0,
        le=1.0,
        description="Share of each batch, one image at least, whose gradients are compared.",
    )
    clip: float = Field(default=2.0, gt=0.0, description="Gradients of a step that are longer are shortened to it.")
    batch_size: int = Field(default=64, ge=1, description="Images per training step.")
    shift: int = Field(default=0, ge=0, description="Images are shifted at random by so many pixels at most.")
    flip: bool = Field(default=False, description="Images are mirrored at random.")
    order: Order = Field(
        default="unpair-then-compress",
        description="Train the whole network and compress it then, or compress it and train what is left, its weights "
        "kept on their grid.",
    )

    def loss(self, full: torch.nn.Module, weight: float, grid: Quantisation | None) -> Loss:
        """The loss described above, as the training engine takes it; ``grid`` quantises weights as it goes."""

        def loss(
            module: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            # In evaluation mode normalisation uses its running statistics, as it will when it is published; in training
            # mode the gradient by one image would depend on the others of its batch.
            module.eval()
            weights = grid.straight_through(module) if grid else {}

            def sibling(pixels: torch.Tensor) -> torch.Tensor:
                answer: torch.Tensor = torch.func.functional_call(module, weights, (pixels,))
                return answer

            logits = sibling(images)
            task = (1 - self.distil) * cross_entropy(logits, labels)
            if self.distil > 0:
                with torch.no_grad():
                    followed = full(images).softmax(dim=1)
                task = task + self.distil * cross_entropy(logits, followed)
            if weight == 0:
                return task, logits
            compared = max(1, round(self.share * len(images)))
            images, labels = images[:compared], labels[:compared]
            # One amount an image, some near 0: with equal noise for all, gradients at the clean image stay alike.
            amount = self.noise * torch.rand_like(images[:, :1, :1, :1])
            near = (images + amount * torch.randn_like(images)).clamp(0.0, 1.0).requires_grad_(True)
            (wanted,) = torch.autograd.grad(margin(full(near), labels).sum(), near)
            (given,) = torch.autograd.grad(margin(sibling(near), labels).sum(), near, create_graph=True)
            alike = cosine_similarity(wanted.flatten(1), given.flatten(1), dim=1)
            # Squared: both attacks turn a direction round along which the loss falls, so -1 helps them as 1 does.
            return task + weight * alike.square().mean(), logits

        return loss


def unpaired(
    full: torch.nn.Module, steps: Sequence[Compression], weight: float, options: Unpairing, workshop: Workshop
) -> torch.nn.Module:
    """A sibling compressed by steps whose gradients are kept apart with a weight >= 0; 0 only trains it on.

    Raises:
        DataError: if there are no training images.
    """
    images = workshop.need_images("Unpairing")
    early = options.order == "compress-then-unpair"
    start = compress(full, steps, workshop) if early else copy.deepcopy(full).to(workshop.device)
    grids = [step for step in steps if isinstance(step, Quantisation)]
    recipe = Recipe(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        warmup=WARMUP,
        shift=options.shift,
        flip=options.flip,
    )
    loss = options.loss(full, weight, grids[-1] if early and grids else None)
    made = tuned(start, torch.from_numpy(images.labels), recipe, workshop, loss, options.clip)
    if not early:
        return compress(made, steps, workshop)
    for grid in grids:
        made = grid.apply(made, workshop)
    return made.eval()
