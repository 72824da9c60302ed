"""Data sets: their type, the registry of formats and named sets, and loading by name or path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

from assay.base.errors import DataError, UsageError, nearest
from assay.base.progress import Progress, silent
from assay.base.registry import Registry
from assay.data.images import Fitted, Images, shape_text
from assay.data.text_rows import Texts

Size = tuple[int, int]
"""Height, width."""


class Dataset(NamedTuple):
    """Labelled images in the parts that were published; either may be missing.

    ``class_names`` are in the order of the labels; empty if unknown.
    """

    name: str
    train: Images | None
    test: Images | None
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """Options of reading: ``size`` (height, width) to which images are resized, or None.

    ``columns`` maps roles to columns of a table; only table formats use it.
    """

    size: Size | None
    progress: Progress
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A file format of data sets: how to recognise it, how to load it, and its description for messages."""

    recognises: Callable[[Path], bool]
    load: Callable[[Path, Reading], Dataset]
    looks: str


@dataclass(frozen=True)
class Named:
    """A data set with a name of its own."""

    load: Callable[[], Dataset]


DATASETS: Registry[Format | Named] = Registry("dataset", "assay.data.formats")


def file_format(
    name: str, recognises: Callable[[Path], bool], looks: str
) -> Callable[[Callable[[Path, Reading], Dataset]], Callable[[Path, Reading], Dataset]]:
    """Decorator that registers the loader of a format.

    ``recognises`` decides by file names alone, without opening anything; ``looks`` describes the format in messages.
    """

    def register(load: Callable[[Path, Reading], Dataset]) -> Callable[[Path, Reading], Dataset]:
        DATASETS.add(name)(Format(recognises, load, looks))
        return load

    return register


def named(name: str) -> Callable[[Callable[[], Dataset]], Callable[[], Dataset]]:
    """Decorator that registers the loader of a named set."""

    def register(load: Callable[[], Dataset]) -> Callable[[], Dataset]:
        DATASETS.add(name)(Named(load))
        return load

    return register


def load_dataset(reference: str | Path, *, size: Size | None = None, progress: Progress | None = None) -> Dataset:
    """A data set by name (``digits``, ``cifar10``), or from a file or folder in any registered format.

    A name takes precedence over a file of that name; ``./digits`` is the file. With a ``size`` all images are resized.

    Raises:
        UsageError: if there is neither a set nor a file of that name.
        DataError: if no format fits, or images or labels are unusable.
        LoadError: if a file is damaged.
        UnsafeFileError: if a file would have to run code to be read.
    """
    dataset = _load(reference, Reading(size, progress or silent()))
    parts = [part for part in (dataset.train, dataset.test) if part is not None]
    if not parts:
        raise DataError(f"{dataset.name} holds neither training nor test images.")
    if parts[0].shape != parts[-1].shape:
        raise DataError(
            f"{dataset.name}: training images are {shape_text(parts[0].shape)} and test images "
            f"{shape_text(parts[1].shape)} (channels x height x width); give a size to bring them to."
        )
    for part in parts:
        if dataset.class_names and part.labels.max() >= len(dataset.class_names):
            raise DataError(
                f"{part.name} has the label {part.labels.max()}, and {dataset.name} has only "
                f"{len(dataset.class_names)} classes."
            )
    return dataset


def _load(reference: str | Path, reading: Reading) -> Dataset:
    known = dict(DATASETS.items())
    source = known.get(reference) if isinstance(reference, str) else None
    if isinstance(source, Named):
        return _resized(source.load(), reading.size)
    path = Path(reference).expanduser()
    if not path.exists() and "?" in str(reference):
        whole, _, query = str(reference).partition("?")
        path = Path(whole).expanduser()
        reading = replace(reading, columns=dict(parse_qsl(query, keep_blank_values=True)))
    if not path.exists():
        names = [name for name, source in known.items() if isinstance(source, Named)]
        raise UsageError(f"There is no data set, file or folder {str(reference)!r}: {nearest(str(reference), names)}")
    formats = [source for source in known.values() if isinstance(source, Format)]
    for source in formats:
        if source.recognises(path):
            return _resized(source.load(path, reading), reading.size)
    raise DataError(f"{path} is not a data set of a known format: {'; '.join(source.looks for source in formats)}.")


def _resized(dataset: Dataset, size: Size | None) -> Dataset:
    def resized(part: Images | None) -> Images | None:
        if isinstance(part, Texts):
            return part if size is None or size[0] != 1 else part.of_length(size[1])
        return part if size is None or part is None or part.shape[1:] == size else Fitted(part, (part.shape[0], *size))

    return dataset._replace(train=resized(dataset.train), test=resized(dataset.test))
