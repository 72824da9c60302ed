"""scikit-learn's handwritten digits: the data set that needs no file."""

from __future__ import annotations

import numpy as np

from assay.data.formats.registry import Dataset, named
from assay.data.images import ArrayImages


@named("digits")
def load_digits() -> Dataset:
    """1,797 grey images of 8x8 pixels; values 0 to 16 become 0 to 255.

    Within each class the images go to train and test in turn, the first to train: 901 and 896, from the same
    writers, so that members and non-members differ in nothing but membership.
    """
    from sklearn.datasets import load_digits as bundled

    digits = bundled()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    turn = np.empty(len(labels), dtype=np.int64)
    for label in range(10):
        rows = np.flatnonzero(labels == label)
        turn[rows] = np.arange(len(rows)) % 2
    train, test = (
        ArrayImages(pixels[turn == part], labels[turn == part], name)
        for part, name in enumerate(("digits train", "digits test"))
    )
    return Dataset("digits", train, test, tuple("0123456789"))
