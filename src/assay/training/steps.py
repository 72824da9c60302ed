"""Gradient steps on one network: what `fit` takes epoch by epoch, and a thief batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from assay.training.checkpoints import Part
from assay.training.machine import Way, lay_out
from assay.training.optimisers import make_optimiser
from assay.training.recipe import Recipe
from assay.training.unlabelled import Done, Loss, SemiSupervised, step_loss


def plain_loss(
    module: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy with labels (n,) or posteriors (n, classes); for posteriors, the KL divergence up to a constant."""
    logits = module(images)
    return cross_entropy(logits, targets), logits


def smoothed_loss(smoothing: float) -> Loss:
    """`plain_loss` with a share of every target spread over all classes evenly.

    Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, section 7.
    """

    def loss(module: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = module(images)
        return cross_entropy(logits, targets, label_smoothing=smoothing), logits

    return loss


START = Done(0, 1)


class Steps:
    """Steps of one network by one optimiser, which is kept between them.

    The network goes to ``device``. `finish` ends it in evaluation mode, with averaged weights where the recipe has
    them averaged. Of the recipe count the optimiser, ``mixed_precision``, ``ema`` and ``label_smoothing``.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        recipe: Recipe,
        device: torch.device,
        *,
        loss: Loss | SemiSupervised = plain_loss,
        clip: float | None = None,
        way: Way | None = None,
    ) -> None:
        """``way`` None computes in float32, as PyTorch is set; ``clip``: see `assay.training.fit`.

        Raises:
            DataError: if the loss has unusable unlabelled images.
        """
        self.module, self.device = module.to(device), device
        self._way = way or Way(threads=torch.get_num_threads())
        if loss is plain_loss and recipe.label_smoothing:
            loss = smoothed_loss(recipe.label_smoothing)
        self._loss = step_loss(loss, device)
        self._params = [p for p in module.parameters() if p.requires_grad]
        lay_out(self._params, self._way)
        self._optimiser = make_optimiser(recipe, self._params, device)
        on_gpu = device.type == "cuda"
        self._half = torch.float16 if on_gpu and not torch.cuda.is_bf16_supported() else torch.bfloat16
        self._mixed = recipe.mixed_precision if on_gpu else self._way.bfloat16
        self._scaler = torch.amp.GradScaler(enabled=on_gpu and self._mixed and self._half is torch.float16)
        self._clip = clip
        self._average = Average(module, recipe.ema) if recipe.ema else None

    def take(
        self, images: torch.Tensor, targets: torch.Tensor, rate: float, done: Done = START
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step at a learning rate on a batch on the device; the loss and the logits, both detached.

        ``done`` says how far training is. The network is left in the mode that it is in.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        with torch.enable_grad():
            with torch.autocast(self.device.type, self._half, enabled=self._mixed):
                value, logits = self._loss(self.module, self._way.laid_out(images), targets, done)
            self._optimiser.zero_grad()
            self._scaler.scale(value).backward()  # type: ignore[no-untyped-call]
        if self._clip is not None:
            self._scaler.unscale_(self._optimiser)
            torch.nn.utils.clip_grad_norm_(self._params, self._clip)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        if self._average is not None:
            self._average.follow()
        return value.detach(), logits.detach()

    def parts(self) -> dict[str, Part]:
        """What must be kept to go on from here."""
        parts: dict[str, Part] = {"module": self.module, "optimiser": self._optimiser, "scaler": self._scaler}
        return parts if self._average is None else {**parts, "average": self._average}

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network with its averaged weights for a while, if they are averaged."""
        if self._average is None:
            yield
            return
        with self._average.shown():
            yield

    def finish(self, for_good: bool = True) -> None:
        """Evaluation mode, and if no step comes after, averaged weights and the usual memory layout."""
        if for_good:
            if self._average is not None:
                self._average.settle()
            lay_out(self._params, Way(threads=1))
        self.module.eval()


class Average:
    """An exponential moving average of a network's weights and statistics.

    After step t (from 1 on) a <- d a + (1 - d) w with d = min(``decay``, t / (t + 9)), so that short trainings are
    averaged over their later part, too (Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017,
    section 3.1; the rise of d as in TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self._module, self._decay, self._steps = module, decay, 0
        self._kept = {name: tensor.detach().clone() for name, tensor in self._averaged().items()}

    def follow(self) -> None:
        """Take in the weights as they are."""
        self._steps += 1
        now = self._averaged()
        share = 1.0 - min(self._decay, self._steps / (self._steps + 9))
        torch._foreach_lerp_(list(self._kept.values()), [now[name] for name in self._kept], share)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The network with averaged weights for a while."""
        own = {name: tensor.detach().clone() for name, tensor in self._averaged().items()}
        self.settle()
        try:
            yield
        finally:
            self._put(own)

    def settle(self) -> None:
        """Give the network the averaged weights."""
        self._put(self._kept)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"steps": self._steps, "kept": self._kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self._steps = state["steps"]
        for name, tensor in state["kept"].items():
            self._kept[name].copy_(tensor)

    def _averaged(self) -> dict[str, torch.Tensor]:
        state: dict[str, torch.Tensor] = self._module.state_dict()
        return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}

    @torch.no_grad()
    def _put(self, tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in self._averaged().items():
            tensor.copy_(tensors[name])
