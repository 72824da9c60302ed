"""Inputs that are no pictures, in words: texts themselves, vectors by their first features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.data.images import Images
from assay.data.text_rows import to_texts
from assay.data.vectors import feature_names, raw_vectors
from assay.targets.target import Modality

FEATURES = 8
"""Features of a vector that are shown."""


def in_words(images: Images, rows: NDArray[np.int64], modality: Modality) -> list[str] | None:
    """One line for each of some rows; None if they are images."""
    if modality == "image":
        return None
    if modality == "text":
        return to_texts(images.take(rows))
    names = feature_names(images)
    return [
        ", ".join(f"{name} {value:.5g}" for name, value in zip(names, vector[:FEATURES], strict=False))
        + (", ..." if len(vector) > FEATURES else "")
        for vector in raw_vectors(images, rows)
    ]
