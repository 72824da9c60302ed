"""Networks evaluated by another runtime: outputs without gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.errors import LoadError
from assay.data.images import Shape

Batch = NDArray[np.float32]
Run = Callable[[Batch], Batch]
"""Preprocessed images float32 (n, c, h, w) to answers float32 (n, classes)."""

LEAST = 1e-30
"""Lower bound of probabilities before their logarithm is taken."""


class Logarithm(torch.nn.Module):
    """Probabilities (n, classes) to the logits whose softmax they are."""

    def forward(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Logarithms, of at least `LEAST`."""
        return probabilities.clamp_min(LEAST).log()


class BlackBox(torch.nn.Module):
    """A runtime's network as a module without parameters, giving logits.

    Whether it returns probabilities is tested on a few images; if so, the logits are their logarithms. ``step`` is the
    distance between neighbouring outputs of a quantised network, whose rounded probabilities do not quite sum to 1.
    """

    def __init__(self, run: Run, shape: Shape, name: str, step: float = 0.0) -> None:
        """Wrap a runtime.

        Raises:
            LoadError: if it does not answer with one row of classes for each image.
        """
        super().__init__()
        self.run = run
        answers = run(probes(shape))
        if answers.ndim != 2 or len(answers) != len(probes(shape)) or answers.shape[1] < 2:
            raise LoadError(f"{name} answers with shape {answers.shape}; one row of classes for each image is needed.")
        self.num_classes = answers.shape[1]
        self.logits = Logarithm() if are_probabilities(answers, step) else torch.nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Preprocessed images (n, c, h, w) to logits (n, classes), on the CPU."""
        answers = self.run(np.ascontiguousarray(images.detach().cpu().numpy(), np.float32))
        logits: torch.Tensor = self.logits(torch.from_numpy(answers))
        return logits


def verified(whole: torch.nn.Module, network: BlackBox, shape: Shape, tolerated: float) -> torch.nn.Module:
    """A twin that gives logits, if it answers as the network does.

    Raises:
        LoadError: if the mean over a few images of the largest difference of probabilities is more than ``tolerated``.
    """
    images = torch.from_numpy(probes(shape))
    with torch.no_grad():
        difference = float((whole(images).softmax(1) - network(images).softmax(1)).abs().amax(1).mean())
    if not difference <= tolerated:
        raise LoadError(f"its gradients cannot be had: the twin's probabilities are off by {difference:.2g}")
    return whole


def in_batches(ask: Run, images: Batch, size: int) -> Batch:
    """Answers to images in batches of exactly ``size``; the last is filled up with zeros."""
    answers = []
    for start in range(0, len(images), size):
        part = images[start : start + size]
        filled = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
        answers.append(ask(filled)[: len(part)])
    return np.concatenate(answers)


def reason(error: Exception) -> str:
    """The first line of another runtime's error message, without the full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")


def are_probabilities(answers: NDArray[np.floating], step: float = 0.0) -> bool:
    """Whether all rows (n, classes) are non-negative and sum to 1, within 0.001 and half a step for each class."""
    slack = 1e-3 + answers.shape[1] * step / 2
    return bool((answers >= 0).all() and (np.abs(answers.sum(axis=1) - 1.0) <= slack).all())


def probes(shape: Shape) -> Batch:
    """Eight images of a shape, of different brightness and noise, on the scales that networks commonly take."""
    noise = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
    flat = np.stack([np.full(shape, value, np.float32) for value in (0.0, 1.0)])
    return np.concatenate([flat, noise, 4 * noise - 2, 255 * noise])
