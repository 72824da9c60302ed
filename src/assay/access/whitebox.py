"""White-box access: the network itself, gradients counted."""

from __future__ import annotations

from collections.abc import Callable

import torch

from assay.access.ledger import Ledger
from assay.base.errors import AccessError
from assay.data.images import Shape
from assay.targets.target import Target


class WhiteBox:
    """A target whose parameters and gradients are known to the attacker."""

    def __init__(self, target: Target) -> None:
        """Open a target.

        Raises:
            AccessError: if there is no differentiable network behind it.
        """
        if target.module is None:
            raise AccessError(f"White-box access needs a differentiable network, and {target.name} is not one.")
        self.module = target.module
        self.device = target.device
        self.input_shape: Shape = target.input_shape
        self.num_classes = target.num_classes
        self.ledger = Ledger()

    @torch.no_grad()
    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Logits float32 (n, classes) of images float32 (n, c, h, w) in [0, 1], on the CPU."""
        self.ledger.images += len(images)
        self.ledger.forwards += len(images)
        self.ledger.calls += 1
        answer: torch.Tensor = self.module(images.to(self.device))
        return answer.float().cpu()

    def gradient(
        self, images: torch.Tensor, loss: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Input gradients (n, c, h, w) of ``loss(logits)`` (a per-image loss (n,)), and the logits, on the CPU.

        Raises:
            AccessError: if the network's answer does not depend differentiably on its input.
        """
        self.ledger.gradients += len(images)
        self.ledger.calls += 1
        inputs = images.detach().to(self.device).requires_grad_(True)
        logits = self.module(inputs)
        if not logits.requires_grad:
            raise AccessError("A gradient was asked for, but this network's answers cannot be differentiated.")
        (gradient,) = torch.autograd.grad(loss(logits).sum(), inputs)
        return gradient.detach().cpu(), logits.detach().float().cpu()
