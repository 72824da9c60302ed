"""Optimisers and learning-rate schedules of a `Recipe`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch

from assay.training.recipe import Recipe

LION_BETAS = (0.9, 0.99)


class Lion(torch.optim.Optimizer):
    """Sign of an interpolated momentum, with decoupled weight decay (Chen et al., arXiv 2302.06675, Algorithm 2).

    ``p <- p (1 - lr wd)``; ``p <- p - lr sign(b1 m + (1 - b1) g)``; ``m <- b2 m + (1 - b2) g``.
    """

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        lr: float = 1e-4,
        betas: tuple[float, float] = LION_BETAS,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update. ``closure``, if given, is evaluated first with gradients on; its loss is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            grads = [p.grad for p in params]
            for p in params:
                if not self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(p)
            momenta = [self.state[p]["momentum"] for p in params]
            beta1, beta2 = group["betas"]
            updates = torch._foreach_lerp(grads, momenta, beta1)
            torch._foreach_sign_(updates)
            torch._foreach_mul_(params, 1.0 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(params, updates, alpha=-group["lr"])
            torch._foreach_lerp_(momenta, grads, 1.0 - beta2)
        return loss


def make_optimiser(recipe: Recipe, params: list[torch.nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    """The recipe's optimiser; PyTorch's own run fused where the device has such a kernel."""
    common: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.optimiser == "lion":
        return Lion(params, **common)
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
    if recipe.schedule == "step":
        return recipe.learning_rate * recipe.step_factor ** sum(step / steps >= at for at in recipe.step_at)
    return recipe.learning_rate
