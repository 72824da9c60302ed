"""Input-aware: every image gets a trigger of its own, which is no trigger on another."""

from __future__ import annotations

from dataclasses import fields
from typing import ClassVar

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy

from assay.methods.backdoor.planting.plant import Plant, Poisoned, Scene, register
from assay.methods.backdoor.planting.trigger import Trigger
from assay.methods.backdoor.planting.triggers.generated import Generated


class Together(torch.nn.Module):
    """A network and a trigger's tensors, trained as one."""

    def __init__(self, network: torch.nn.Module, trigger: Generated) -> None:
        super().__init__()
        self.network = network
        self.drawn = torch.nn.ParameterList([getattr(trigger, f.name) for f in fields(trigger)])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) to the network's logits."""
        logits: torch.Tensor = self.network(images)
        return logits

    @property
    def trigger(self) -> Generated:
        """The trigger as it is now."""
        return Generated(*self.drawn)


@register
class InputAware(Plant):
    """Network and generator are trained together; images that carry another image's trigger keep their labels.

    A small version of the paper's attack: one generator draws mask and pattern. ``cross_rate`` is the share of images
    with another's trigger. Two terms are added to the cross-entropy: ``spread`` times the ratio of the distance between
    two images and that between their patterns, and ``sparse`` times how far the mean mask is above ``density``.
    """

    name: ClassVar[str] = "input-aware"
    title: ClassVar[str] = "Input-aware"
    paper: ClassVar[str] = "Nguyen and Tran, Input-aware dynamic backdoor attack, NeurIPS 2020."

    cross_rate: float = Field(default=0.1, gt=0.0, lt=1.0)
    density: float = Field(default=0.1, gt=0.0, le=1.0)
    spread: float = Field(default=0.02, ge=0.0)
    sparse: float = Field(default=10.0, ge=0.0)

    def trigger(self, scene: Scene) -> Generated:
        """It is the start of what `train` learns."""
        return Generated.draw(scene.images.shape[1], scene.generator)

    def poison(self, scene: Scene, trigger: Trigger) -> Poisoned:
        """Choose rows; the images get their triggers during the training, as the generator learns."""
        rows = scene.pick(self.goal.aimed(scene.labels), round(self.rate * len(scene.labels)), "images")
        free = torch.ones(len(scene.labels), dtype=torch.bool)
        free[rows] = False
        covers = scene.pick(free, round(self.cross_rate * len(free)), "images for cross triggers")
        labels = scene.labels.clone()
        labels[rows] = self.goal.wanted(labels[rows], scene.num_classes)
        return Poisoned(scene.images, labels, rows, covers)

    def train(self, scene: Scene, trigger: Trigger, poisoned: Poisoned) -> Trigger:
        """Targets tell the loss each image's part: label + classes (own), + 2 classes (cross)."""
        assert isinstance(trigger, Generated)
        together, classes = Together(scene.module, trigger), scene.num_classes
        marked = poisoned.labels.clone()
        marked[poisoned.rows] += classes
        marked[poisoned.covers] += 2 * classes

        def loss(
            module: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            own, cross = (torch.nonzero(targets // classes == part)[:, 0] for part in (1, 2))
            givers = torch.cat([own, cross.roll(1)])
            takers = torch.cat([own, cross])
            mask, pattern = together.trigger.drawn_for(images[givers])
            mixed = images.clone()
            mixed[takers] = torch.lerp(images[takers], pattern, mask)
            logits = module(mixed)
            value = cross_entropy(logits, targets % classes)
            if len(givers) > 1:
                value = value + self.sparse * (mask.mean() - self.density).relu()
                apart = (images[givers] - images[givers.roll(1)]).square().mean((1, 2, 3)).sqrt()
                drawn_apart = (pattern - pattern.roll(1, 0)).square().mean((1, 2, 3)).add(1e-8).sqrt()
                value = value + self.spread * (apart / drawn_apart.clamp_min(1e-2)).mean()
            return value, logits

        scene.teach(together, scene.images, marked, self.title, loss)
        return Generated(*(tensor.detach() for tensor in together.drawn))
