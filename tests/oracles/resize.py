"""Resizing, written out pixel by pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def weights(given: int, wanted: int) -> NDArray[np.float64]:
    """(wanted, given) weights of bilinear resizing whose triangle widens when an axis shrinks."""
    scale = given / wanted
    width = max(scale, 1.0)
    table = np.zeros((wanted, given))
    for target in range(wanted):
        centre = (target + 0.5) * scale
        for source in range(given):
            table[target, source] = max(0.0, 1.0 - abs(source + 0.5 - centre) / width)
        table[target] /= table[target].sum()
    return table


def resized(plane: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """One channel (h, w) as (height, width)."""
    rows, columns = weights(plane.shape[0], height), weights(plane.shape[1], width)
    result = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            for i in range(plane.shape[0]):
                for j in range(plane.shape[1]):
                    result[y, x] += rows[y, i] * columns[x, j] * plane[i, j]
    return result
