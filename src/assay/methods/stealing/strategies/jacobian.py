"""Jacobian-based augmentation: images pushed along the surrogate's gradients, round after round."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from assay.data.images import to_pixels
from assay.methods.stealing.perturb import gradient, sign_steps
from assay.methods.stealing.strategies.strategy import STRATEGIES, Strategy
from assay.methods.stealing.thief import Thief
from assay.targets.target import Modality

BATCH = 256
"""Images back-propagated at a time."""


@STRATEGIES.add("jacobian")
class Jacobian(Strategy):
    """A few images of the pool, then copies of all that was asked, moved along the surrogate's gradients.

    Papernot et al., "Practical black-box attacks against machine learning", AsiaCCS 2017, section 4.2. ``away`` (JBDA)
    is x' = clip(x + size sign of the loss's gradient at the target's label), the sign turned every ``turn`` rounds;
    ``random`` (the T-RND of Juuti et al., PRADA, 2019) steps towards another class, drawn at random; ``likely`` (the
    jbtop-k of Orekondy et al., Prediction Poisoning, 2020) goes, in eight steps, to the most probable of the others.
    In every round the surrogate is trained on all answers. Once more than ``reservoir`` images were asked, a round
    moves so many of them, drawn at random, instead of all.
    """

    name: ClassVar[str] = "jacobian"
    modalities: ClassVar[tuple[Modality, ...]] = ("image",)

    seeds: int = Field(default=150, ge=1, description="Images of the pool to begin with.")
    variant: Literal["away", "random", "likely"] = Field(default="away", description="Where the images are moved.")
    size: float = Field(default=0.1, gt=0.0, le=1.0, description="By how much every pixel is moved, of [0, 1].")
    turn: int = Field(default=3, ge=1, description="Rounds after which JBDA turns its sign.")
    epochs: int = Field(default=10, ge=1, description="Passes over the answers in every round.")
    reservoir: int = Field(default=400, ge=1, description="Images moved in one round, at most.")

    def run(self, thief: Thief) -> None:
        random = thief.generator("jacobian")
        rows = thief.unasked
        thief.ask(rows[torch.randperm(len(rows), generator=random).numpy()][: self.seeds])
        before, number = 0, 0
        while thief.spent > before:  # where every gradient vanishes, nothing new comes out
            before = thief.spent
            thief.train(self.epochs)
            images, answers = thief.transfer
            chosen = torch.randperm(len(images), generator=random)[: self.reservoir].numpy()
            labels = torch.from_numpy(answers.labels[chosen])
            pixels = to_pixels(images.take(chosen))
            moved = [
                self._move(thief, part, wanted, number, random)
                for part, wanted in zip(torch.split(pixels, BATCH), torch.split(labels, BATCH), strict=True)
            ]
            thief.ask_about(torch.cat(moved))
            number += 1

    def _move(
        self, thief: Thief, images: torch.Tensor, labels: torch.Tensor, number: int, random: torch.Generator
    ) -> torch.Tensor:
        images, labels, module = images.to(thief.device), labels.to(thief.device), thief.surrogate.eval()
        if self.variant == "random":
            others = torch.randint(1, thief.num_classes, labels.shape, generator=random).to(thief.device)
            slope, _ = gradient(module, images, (labels + others) % thief.num_classes)
            return (images - self.size * slope.sign()).clamp(0.0, 1.0).cpu()
        slope, logits = gradient(module, images, labels)
        if self.variant == "away":
            sign = 1.0 if number // self.turn % 2 == 0 else -1.0
            return (images + sign * self.size * slope.sign()).clamp(0.0, 1.0).cpu()
        likely = logits.scatter(1, labels[:, None], -torch.inf).argmax(1)
        moved = sign_steps(module, images, likely, epsilon=self.size, step=self.size / 8, steps=8, towards=True)
        return moved.cpu()
