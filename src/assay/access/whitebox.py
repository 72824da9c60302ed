"""White-box access: the network itself, gradients counted."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from assay.access.ledger import Ledger
from assay.base.errors import AccessError
from assay.data.images import Shape
from assay.targets.folded import channels_last, folded
from assay.targets.target import Target

UNFOLDED = 256
"""Gradients, in images, that are taken of the network as it is: folding it costs about as much as some of them."""


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
        self._own, self._copies = target.module, list[torch.nn.Module | None]()

    @torch.no_grad()
    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Logits float32 (n, classes) of images float32 (n, c, h, w) in [0, 1], where the images lie."""
        self._count(images, forwards=True)
        answer: torch.Tensor = self.module(images.to(self.device))
        return answer.float().to(images.device)

    def gradient(
        self, images: torch.Tensor, loss: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Input gradients (n, c, h, w) of ``loss(logits)`` (a per-image loss (n,)), and the logits, where images lie.

        After `UNFOLDED` images, on a processor, a folded copy of the network answers: the same to within rounding, in
        three quarters of the time.

        Raises:
            AccessError: if the network's answer does not depend differentiably on its input.
        """
        self._count(images, gradients=1)
        inputs, logits = self._followed(images, self._quickest())
        (gradient,) = torch.autograd.grad(loss(logits).sum(), inputs)
        return gradient.detach().contiguous().to(images.device), logits.detach().float().to(images.device)

    def jacobian(self, images: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Input gradients (n, k, c, h, w) of the logits of ``classes`` int64 (n, k), and all logits (n, classes).

        Counted as k gradients an image. Both lie where the images lie.

        Raises:
            AccessError: if the network's answer does not depend differentiably on its input.
        """
        self._count(images, gradients=classes.shape[1])
        inputs, logits = self._followed(images)
        chosen = logits.gather(1, classes.to(logits.device)).sum(dim=0)
        rows = [torch.autograd.grad(one, inputs, retain_graph=True)[0].detach() for one in chosen]
        return torch.stack(rows, dim=1).to(images.device), logits.detach().float().to(images.device)

    def slopes(
        self, images: torch.Tensor, variables: tuple[torch.Tensor, ...], loss: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """Gradients of the summed ``loss(logits)`` in tensors that the caller makes the answers depend on, and logits.

        Such tensors are added inside the network, say, by hooks. Counted as one gradient an image.

        Raises:
            AccessError: if the network's answer does not depend differentiably on them.
        """
        self._count(images, gradients=1)
        logits: torch.Tensor = self.module(images.to(self.device))
        if not logits.requires_grad:
            raise AccessError("A gradient was asked for, but this network's answers cannot be differentiated.")
        slopes = torch.autograd.grad(loss(logits).sum(), variables, materialize_grads=True)
        return tuple(slope.detach() for slope in slopes), logits.detach().float().to(images.device)

    def quick(self) -> WhiteBox:
        """The same box, its ledger included, around the folded copy, where there is one.

        For callers that look at layers while they run: convolutions have the batch normalisation after them in them.
        """
        module = self._copy()
        if module is None:
            return self
        box = copy.copy(self)
        box.module = module
        return box

    def _quickest(self) -> torch.nn.Module | None:
        """The folded copy; None where there is none, or too little was asked."""
        return None if self.ledger.gradients <= UNFOLDED else self._copy()

    def _copy(self) -> torch.nn.Module | None:
        """The folded copy; None where there is none, on an accelerator, or where the network was replaced."""
        if self.device.type != "cpu" or self.module is not self._own:
            return None
        if not self._copies:
            self._copies.append(folded(self.module, self.input_shape))
        return self._copies[0]

    def _followed(
        self, images: torch.Tensor, quick: torch.nn.Module | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        given = images.detach().to(self.device)
        inputs = (given if quick is None else channels_last(given)).requires_grad_(True)
        logits: torch.Tensor = (quick or self.module)(inputs)
        if not logits.requires_grad:
            raise AccessError("A gradient was asked for, but this network's answers cannot be differentiated.")
        return inputs, logits

    def _count(self, images: torch.Tensor, *, forwards: bool = False, gradients: int = 0) -> None:
        self.ledger.calls += 1
        self.ledger.gradients += gradients * len(images)
        if forwards:
            self.ledger.images += len(images)
            self.ledger.forwards += len(images)


class Published(WhiteBox):
    """A white box of another model than the target: a sibling that runs on devices, say, or an independent network.

    ``name`` is what reports call it. What is done to it costs the attacker no question.
    """

    def __init__(self, target: Target) -> None:
        """Open a model.

        Raises:
            AccessError: if there is no differentiable network behind it.
        """
        super().__init__(target)
        self.name = target.name
