"""References to files of a model: a path, with options behind a question mark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from assay.base.errors import UsageError, nearest
from assay.data.formats.registry import DATASETS, Format, Named

SUFFIXES = (
    *(".onnx", ".keras", ".h5", ".hdf5", ".tflite", ".safetensors", ".pt", ".pth", ".th", ".ckpt", ".bin"),
    *(".pt2", ".ptl", ".pkl", ".pickle", ".joblib", ".pb", ".model", ".tar"),
)
"""Endings of model files; those that are refused are among them, since the refusal says what to do."""
OPTIONS = ("architecture", "preprocessing", "input_shape", "num_classes")


class FileReference(NamedTuple):
    """A model file and what the user says of it."""

    path: Path
    options: dict[str, str]

    @property
    def input_shape(self) -> tuple[int, int, int] | None:
        """The option ``input_shape``: ``3x32x32``, or ``3,32,32``.

        Raises:
            UsageError: if it is not three whole numbers.
        """
        text = self.options.get("input_shape")
        if text is None:
            return None
        sizes = [int(size) for size in re.findall(r"\d+", text)]
        if len(sizes) != 3 or min(sizes) < 1:
            raise UsageError(f"input_shape must be channels, height and width, as in 3x224x224, not {text!r}.")
        return sizes[0], sizes[1], sizes[2]

    @property
    def num_classes(self) -> int | None:
        """The option ``num_classes``.

        Raises:
            UsageError: if it is no whole number of 2 or more.
        """
        text = self.options.get("num_classes")
        if text is not None and (not text.isdecimal() or int(text) < 2):
            raise UsageError(f"num_classes must be a whole number of 2 or more, not {text!r}.")
        return None if text is None else int(text)


def file_reference(reference: str) -> FileReference | None:
    """A reference as one to a model file that exists; None if it is something else.

    Raises:
        UsageError: if an option is not known.
    """
    whole, _, query = reference.partition("?")
    path = Path(whole).expanduser()
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return None
    options = dict(parse_qsl(query, keep_blank_values=True))
    for option in options:
        if option not in OPTIONS:
            raise UsageError(f"{whole} has no option {option!r}: {nearest(option, OPTIONS)}")
    return FileReference(path, options)


def with_options(reference: str, **options: str | None) -> str:
    """A reference to a model file with options added; those that are None are left out.

    Raises:
        UsageError: if there are options, and the reference is to something else.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return reference
    file = file_reference(reference)
    if file is None:
        first = next(iter(given)).replace("_", "-")
        raise UsageError(f"--{first} is for files of weights, and {reference} is none, or is not there.")
    return f"{reference.partition('?')[0]}?{urlencode(file.options | given)}"


def is_data(reference: str) -> bool:
    """Whether a reference is the name of a data set, or the path of one, by names alone; nothing is opened."""
    whole = reference.partition("?")[0]
    known = dict(DATASETS.items())
    if isinstance(known.get(whole), Named):
        return True
    path = Path(whole).expanduser()
    if not path.exists() or path.suffix == ".toml" or (path / "config.json").is_file():
        return False
    return any(isinstance(source, Format) and source.recognises(path) for source in known.values())
