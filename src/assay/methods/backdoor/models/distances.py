"""How far images lie from every label: the distance that a small change of each image has to go, label by label."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import WhiteBox
from assay.base.errors import AccessError
from assay.methods.backdoor.inversion.search import AT_ONCE
from assay.methods.backdoor.models.margins import margin
from assay.methods.backdoor.models.outliers import Floats

BEYOND = 1.02
"""A step goes this much further than the tangent says, to arrive."""


def distances(box: WhiteBox, images: torch.Tensor, labels: NDArray[np.int64], steps: int, longest: float) -> Floats:
    """Distances (k, n) from images (n, c, h, w) in [0, 1] to each of ``labels`` (k,), root mean square of a pixel.

    Each image follows the gradient of its margin as far as the tangent says that the label begins, ``longest`` at most
    in a step: DeepFool (Moosavi-Dezfooli et al., CVPR 2016) towards one label. Images that have not arrived after
    ``steps`` steps count as ``steps * longest`` away; those that the network calls by the label anyway as 0.

    Raises:
        AccessError: if a gradient is not finite.
    """
    found = np.empty((len(labels), len(images)))
    together = max(1, AT_ONCE // images.numel())
    for start in range(0, len(labels), together):
        part = slice(start, start + together)
        wanted = torch.from_numpy(labels[part]).repeat_interleave(len(images))
        found[part] = _travelled(box, images, wanted, steps, longest).view(-1, len(images)).double().numpy()
    return found


def _travelled(box: WhiteBox, images: torch.Tensor, wanted: torch.Tensor, steps: int, longest: float) -> torch.Tensor:
    """Distances of as many copies of the images as there are labels, one after another, (k n,)."""
    start = images.repeat(len(wanted) // len(images), 1, 1, 1)
    now = start.clone()
    root = images[0].numel() ** 0.5
    under_way = torch.arange(len(wanted))
    for _ in range(steps):
        loss = partial(margin, labels=wanted[under_way].to(box.device))
        slope, logits = box.gradient(now[under_way], loss)
        if not torch.isfinite(slope).all():
            raise AccessError("The network's gradient is not finite, so that no distance can be measured.")
        ahead = -margin(logits, wanted[under_way].to(logits.device)).cpu()
        short = ahead >= 0
        under_way, slope, ahead = under_way[short], slope[short], ahead[short]
        if len(under_way) == 0:
            break
        size = slope.flatten(1).norm(dim=1).clamp_min(1e-12)
        step = (BEYOND * (ahead + 1e-3) / size).clamp(max=longest * root) / size
        now[under_way] = (now[under_way] + step.view(-1, 1, 1, 1) * slope).clamp(0, 1)
    travelled: torch.Tensor = (now - start).flatten(1).norm(dim=1) / root
    travelled[under_way] = steps * longest
    return travelled
