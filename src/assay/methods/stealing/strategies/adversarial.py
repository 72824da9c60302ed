"""Adversarial learning: the target is asked about images that the surrogate is fooled by."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field

from assay.methods.stealing.perturb import carlini_wagner, sign_steps
from assay.methods.stealing.strategies.moving import ask_about_moved
from assay.methods.stealing.strategies.strategy import STRATEGIES, Strategy
from assay.methods.stealing.thief import Thief
from assay.targets.target import Modality

BATCH = 256
"""Images back-propagated at a time."""


@STRATEGIES.add("adversarial")
class Adversarial(Strategy):
    """Random images first; then, round by round, images of the pool moved until the surrogate changes its mind.

    Yu et al., CloudLeak, NDSS 2020, with the constants of the code of "Model Extraction Attacks Revisited" (2024):
    projected gradient steps (L-infinity 4/255, 7 steps of 2/255 from a random start, stopping where the surrogate's own
    label is left), or Carlini and Wagner's L2 attack (50 steps of Adam at 0.01). The surrogate is trained on all
    answers before every round. The moved images are asked about; their originals are not, unless the pool runs short.
    """

    name: ClassVar[str] = "adversarial"
    modalities: ClassVar[tuple[Modality, ...]] = ("image",)

    attack: Literal["pgd", "cw"] = Field(default="pgd", description="How images are moved.")
    seed_share: float = Field(default=0.5, gt=0.0, lt=1.0, description="Share of the budget for random images first.")
    rounds: int = Field(default=8, ge=1, description="Rounds for the rest of the budget.")
    epochs: int = Field(default=10, ge=1, description="Passes over the answers before every round.")
    epsilon: float = Field(default=4 / 255, gt=0.0, le=1.0, description="pgd: L-infinity distance, of [0, 1].")
    cost: float = Field(default=1.0, gt=0.0, description="cw: weight of the classification against the distance.")
    confidence: float = Field(default=0.0, ge=0.0, description="cw: by how much another logit must lead.")

    def run(self, thief: Thief) -> None:
        random = thief.generator("adversarial")
        ask_about_moved(
            thief,
            lambda pixels: torch.cat([self._move(thief, part, random) for part in torch.split(pixels, BATCH)]),
            random,
            seed_share=self.seed_share,
            rounds=self.rounds,
            epochs=self.epochs,
        )

    def _move(self, thief: Thief, images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        noise = self.epsilon * (2 * torch.rand(images.shape, generator=random) - 1)
        images, module = images.to(thief.device), thief.surrogate.eval()
        with torch.no_grad():
            labels = module(images).argmax(1)
        if self.attack == "cw":
            moved = carlini_wagner(module, images, labels, cost=self.cost, confidence=self.confidence, steps=50)
        else:
            start = images + noise.to(thief.device)
            moved = sign_steps(
                module, images, labels, epsilon=self.epsilon, step=self.epsilon / 2, steps=7, start=start
            )
        return moved.cpu()
