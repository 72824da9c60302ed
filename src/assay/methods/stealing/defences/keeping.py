"""The networks that an owner keeps for his policies, trained on his own training set."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import softmax

from assay.access import Oracle
from assay.access.policies import parse_policy
from assay.access.policies.owner import keep_network
from assay.base.progress import Progress
from assay.data.images import Images, drawn
from assay.methods.method import Context
from assay.training import Loss, Recipe, fit, plain_loss, seeded_build

ARCHITECTURE = "tiny-cnn"
RECIPE = Recipe(epochs=10, batch_size=64, optimiser="adam", learning_rate=0.002, mixed_precision=False)
"""10 epochs, as the surrogate of the gradient redirection paper's main results is distilled for."""

MOST_IMAGES = 5_000
"""Images that an owner's network is trained on, at most, drawn at random."""


def misleading_loss(
    module: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """``-log(1 - p_y)``: what trains a network to be wrong.

    Kariyappa and Qureshi, Defending Against Model Stealing Attacks with Adaptive Misinformation, CVPR 2020, equation 3.
    """
    logits = module(images)
    right = softmax(logits, dim=1).gather(1, labels[:, None])
    return -torch.log((1 - right).clamp_min(1e-6)).mean(), logits


class Kept:
    """Trains an owner's network when a policy first needs it, and writes it to a folder."""

    def __init__(self, oracle: Oracle, owned: Images, context: Context) -> None:
        """``owned`` are the owner's training images with their true labels."""
        self._oracle, self._context = oracle, context
        self._owned = drawn(owned, MOST_IMAGES, context.generator("defences: the owner's images"))
        self._files: dict[str, Path] = {}

    def prepared(self, text: str) -> str:
        """A policy's text, with the file of the network that it needs unless it names one.

        ``gradient-redirection`` gets a surrogate distilled from the model, ``adaptive-misinformation`` one trained to
        be wrong. The others that have a network take a random one, as their paper does.
        """
        policy = parse_policy(text)
        needed = {"gradient-redirection": self._surrogate, "adaptive-misinformation": self._misleading}
        if policy.name not in needed or "network" in policy.model_fields_set:
            return text
        if policy.name not in self._files:
            self._files[policy.name] = needed[policy.name](self._context.progress)
        return f"{text}{',' if ':' in text else ':'}network={self._files[policy.name]}"

    def _surrogate(self, progress: Progress) -> Path:
        answers = self._oracle.evaluator().ask_all(self._owned, progress, "answers for the owner's surrogate")
        taught = torch.from_numpy(answers.require_posteriors())
        return self._train(taught, plain_loss, "training the owner's surrogate")

    def _misleading(self, progress: Progress) -> Path:
        labels = torch.from_numpy(self._owned.labels)
        return self._train(labels, misleading_loss, "training the owner's misleading network")

    def _train(self, targets: torch.Tensor, loss: Loss, label: str) -> Path:
        shape, classes, context = self._oracle.input_shape, self._oracle.num_classes, self._context
        module = seeded_build(ARCHITECTURE, classes, shape, context.seed)
        fit(
            module,
            self._owned,
            targets,
            RECIPE,
            seed=context.seed,
            device=context.device,
            progress=context.progress,
            label=label,
            loss=loss,
        )
        return keep_network(module.cpu(), ARCHITECTURE, classes, shape, context.shared / "defences")
