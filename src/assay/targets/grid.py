"""Rounding to the grid of a quantised network, with gradients."""

from __future__ import annotations

import torch

Number = float | torch.Tensor


def on_grid(
    values: torch.Tensor, scale: Number, zero: Number, low: int, high: int, *, half_to_even: bool = False
) -> torch.Tensor:
    """Values rounded to ``scale`` x (k - ``zero``), k whole and within ``low`` to ``high``.

    Rounding passes gradients on unchanged (the straight-through estimator; Bengio et al., arXiv 1308.3432); clipping
    stops them, as a ReLU does. A half is rounded away from k = 0, as TFLite does where halves are common: in the mean
    of whole numbers; with ``half_to_even`` to an even k - ``zero``, as ONNX says. ``scale`` and ``zero`` broadcast with
    the values.
    """
    steps = (values / scale + zero).clamp(low, high)
    if half_to_even:
        rounded = (torch.round(values / scale) + zero).clamp(low, high)
    else:
        rounded = torch.trunc(steps + torch.copysign(torch.full_like(steps, 0.5), steps))
    return (steps + (rounded - steps).detach() - zero) * scale
