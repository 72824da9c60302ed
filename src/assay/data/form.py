"""What a data set holds, told from its first look: images, texts or vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from assay.base.progress import Progress
from assay.data.formats.npz import read_arrays
from assay.data.formats.registry import Dataset, load_dataset
from assay.data.formats.tables import TableReader, column_names
from assay.data.formats.text import TEXT_NAMES
from assay.data.images import Shape
from assay.data.vectors import modality_of


def form_of(source: str, progress: Progress | None = None) -> tuple[Literal["image", "text", "vector"], Shape]:
    """The modality of a data set by name or path, and the shape of its inputs.

    A table with a column of texts holds texts, any other table vectors; of a .npz file the axes decide.

    Raises:
        AssayError: if it does not exist, or cannot be read.
    """
    if holds_vectors(source):
        return "vector", _shape(TableReader().load(source))
    dataset = load_dataset(source, progress=progress)
    part = dataset.train if dataset.train is not None else dataset.test
    assert part is not None, "a data set has a part"
    return ("text" if modality_of(part) == "text" else "image"), part.shape


def holds_vectors(source: str) -> bool:
    """Whether a file, or a folder of tables, holds vectors; a name never does."""
    whole, _, query = source.partition("?")
    path = Path(whole).expanduser()
    if path.suffix == ".npz" and path.is_file():
        found = read_arrays(path, ("x_train", "x_test"))
        return any(array.ndim == 2 for array in found.values())
    columns = column_names(path)
    asked = "text=" in query or any(name.lower() in TEXT_NAMES for name in columns)
    return len(columns) > 1 and not asked and (len(columns) > 2 or "label=" in query)


def _shape(dataset: Dataset) -> Shape:
    part = dataset.train if dataset.train is not None else dataset.test
    assert part is not None, "a table has a part"
    return part.shape
