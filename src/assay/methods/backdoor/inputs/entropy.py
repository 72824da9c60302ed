"""STRIP's measure: how much an input's prediction varies when other images are laid over it.

Gao et al., "STRIP: a defence against trojan attacks on deep neural networks", ACSAC 2019. A trigger that survives the
overlay holds the prediction fast, so that a triggered input has a low entropy.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.intervals import Floats

Overlay = Literal["blend", "sum"]


def overlaid(images: torch.Tensor, overlays: torch.Tensor, how: Overlay) -> torch.Tensor:
    """Images (n, c, h, w) under overlays (n, N, c, h, w), all in [0, 1], to (n, N, c, h, w) in [0, 1].

    ``blend`` is the mean of both. ``sum`` adds them and clips at 1, as the authors' notebook adds without clipping.
    """
    under = images[:, None]
    return (under + overlays) / 2 if how == "blend" else (under + overlays).clamp(max=1.0)


def entropies(posteriors: NDArray[Any]) -> Floats:
    """Bits (n,) of posteriors (n, N, classes): the Shannon entropy over the classes, averaged over the N overlays.

    The authors' H(x) = -sum p log2 p over classes and overlays, divided by N.
    """
    p = np.asarray(posteriors, dtype=np.float64)
    logs = np.log2(p, out=np.zeros_like(p), where=p > 0)
    bits: Floats = -(p * logs).sum(axis=2).mean(axis=1)
    return bits
