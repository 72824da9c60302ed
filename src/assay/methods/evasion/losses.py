"""What an untargeted attack raises: losses of logits (n, classes) and labels (n,), one number an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of logits (n, classes) and labels (n,), or pairs of label and target (n, 2), one number an image (n,)."""

QueryLoss = Literal["margin", "cross-entropy"]
GradientLoss = Literal["margin", "cross-entropy", "dlr"]


def margin(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The best other class's logit minus the label's own: above 0 where the image is misclassified.

    The same for log-probabilities as for logits, for the two differ by one number for all classes.
    """
    own = logits.gather(1, labels[:, None])[:, 0]
    return logits.gather(1, runner_up(logits, labels)[:, None])[:, 0] - own


def runner_up(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The most probable class (n,) other than the label."""
    return logits.detach().scatter(1, labels[:, None], -torch.inf).argmax(dim=1)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Minus the label's log-probability."""
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def dlr(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The difference of logits ratio: the margin over the distance of the highest logit to the third.

    Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
    ICML 2020. It does not change with the logits' scale. With two classes there is no third logit, and the ratio to
    the second would be 1 everywhere: it is the margin then.
    """
    if logits.shape[1] < 3:
        return margin(logits, labels)
    ordered = logits.topk(3, dim=1).values
    return margin(logits, labels) / (ordered[:, 0] - ordered[:, 2] + 1e-12)


def targeted_dlr(logits: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """How far the target class is above the label, over the distance of the highest logit to the third and fourth.

    ``pairs`` int64 (n, 2) are labels and targets. Croce and Hein, ICML 2020, equation 8. With fewer than four classes
    the plain difference.
    """
    chosen = logits.gather(1, pairs)
    difference = chosen[:, 1] - chosen[:, 0]
    if logits.shape[1] < 4:
        return difference
    ordered = logits.topk(4, dim=1).values
    return difference / (ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2 + 1e-12)


LOSSES: dict[str, Loss] = {"margin": margin, "cross-entropy": cross_entropy, "dlr": dlr}
