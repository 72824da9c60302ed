"""Public data sets that are not shipped: they are read from the folder ASSAY_DATA."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from assay.base.errors import DataError
from assay.base.progress import silent
from assay.data.formats.npz import load_npz
from assay.data.formats.registry import Dataset, Reading, named

CLASSES: dict[str, tuple[str, ...]] = {
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    "caltech101": (),
}  # fmt: skip
"""Name to the published class names, in the order of the labels."""


def load_public(name: str) -> Dataset:
    """``NAME.npz`` in the folder ASSAY_DATA; see `load_npz`.

    Raises:
        DataError: if ASSAY_DATA is not set, or holds no such file.
    """
    folder = os.environ.get("ASSAY_DATA")
    wanted = f"a folder that holds {name}.npz (x_train, y_train, x_test, y_test)"
    if not folder:
        raise DataError(f"The data set {name} does not come with Assay: set ASSAY_DATA to {wanted}.")
    path = Path(folder).expanduser() / f"{name}.npz"
    if not path.is_file():
        raise DataError(f"There is no {path}: ASSAY_DATA must be {wanted}.")
    return load_npz(path, Reading(None, silent()))._replace(class_names=CLASSES[name])


for _name in CLASSES:
    named(_name)(partial(load_public, _name))
