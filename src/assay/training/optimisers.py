"""Optimisers and learning-rate schedules of a `Recipe`."""

from __future__ import annotations

import math
from typing import Any

import torch

from assay.base.vision import import_timm
from assay.training.recipe import Recipe

LION_BETAS = (0.9, 0.99)
"""Of Chen et al., Symbolic Discovery of Optimization Algorithms (arXiv 2302.06675), Algorithm 2."""


def make_optimiser(recipe: Recipe, params: list[torch.nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    """The recipe's optimiser: PyTorch's own, fused where the device has such a kernel, and timm's Lion."""
    common: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.optimiser == "lion":
        import_timm()
        from timm.optim.lion import Lion

        lion: torch.optim.Optimizer = Lion(params, betas=LION_BETAS, **common)
        return lion
    common["fused"] = device.type in ("cpu", "cuda")
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(params, momentum=recipe.momentum, nesterov=recipe.nesterov, **common)
    if recipe.optimiser == "adam":
        return torch.optim.Adam(params, **common)
    return torch.optim.AdamW(params, **common)


def rate_at(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of one of ``steps`` optimiser steps, counted from 0."""
    warmup = round(recipe.warmup * steps)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.schedule == "cosine":
        return recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
    if recipe.schedule == "linear":
        return recipe.learning_rate * (1.0 - (step - warmup) / (steps - warmup))
    if recipe.schedule == "step":
        return recipe.learning_rate * recipe.step_factor ** sum(step / steps >= at for at in recipe.step_at)
    return recipe.learning_rate
