"""Tables of numbers and categories with a column of labels, as vectors: CSV, TSV, Parquet and .npz."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assay.base.errors import DataError, LoadError, UsageError, nearest
from assay.base.reading import check_plain
from assay.data.formats.npz import read_arrays
from assay.data.formats.parquet_file import read_parquet
from assay.data.formats.registry import Dataset
from assay.data.formats.text import LABEL_NAMES, class_names
from assay.data.images import Images
from assay.data.vectors import Box, Vectors, box_of, within

SUFFIXES = (".csv", ".tsv", ".parquet")

_INDEX = re.compile(r"__index_level_\d+__")
"""How pandas names the column of an index in Parquet."""

WIDEST = 100_000
"""Columns of a table."""

_LINE = 16 << 20

MOST = 1000
"""Categories of one column, at most: more are an identifier and not a category."""


class Part(NamedTuple):
    """A table as read: its features by name, in order, and labels as text."""

    name: str
    columns: dict[str, pa.Array]
    labels: list[str]


class TableReader:
    """Reads tables alike: columns, categories and classes are those of the first table that is read.

    ``label`` names the column of labels, if it has none of the usual names (`LABEL_NAMES`); ``categories`` declares a
    column's categories, whose order is that of its one-hot features. A column that is not declared is numeric if all
    its values in the first table are numbers; else its categories are the values there, sorted.
    """

    def __init__(self, label: str | None = None, categories: Mapping[str, Sequence[str]] | None = None) -> None:
        self.label = label
        self.categories = {name: tuple(values) for name, values in (categories or {}).items()}
        self.columns: tuple[str, ...] = ()
        self.classes: tuple[str, ...] = ()

    def load(self, source: str) -> Dataset:
        """A data set from a file, or a folder with train and test files.

        ``adult.csv?label=income`` names the column of labels. Where ``NAME_train.csv`` is asked for and
        ``NAME_test.csv`` lies beside it, that is the test part. A .npz file holds ``x_train`` (n, features),
        ``y_train``, ``x_test`` and ``y_test``.

        Raises:
            UsageError: if there is no such file.
            LoadError: if a file cannot be read.
            DataError: if columns do not fit, a value is missing, or a category or class was never seen.
        """
        path = Path(source).expanduser()
        if not path.exists() and "?" in source:
            whole, _, query = source.partition("?")
            path, options = Path(whole).expanduser(), dict(parse_qsl(query))
            if set(options) != {"label"}:
                raise DataError(f"{source}: of a table of vectors only the label is said, as in {path.name}?label=y.")
            self.label = options["label"]
        if not path.exists():
            raise UsageError(f"There is no file or folder of vectors {source!r}.")
        if path.suffix == ".npz":
            return _arrays(path)
        files = _files(path)
        parts = {part: self._read(file, f"{path.stem.removesuffix('_train')} {part}") for part, file in files.items()}
        if not self.columns:
            self._learn(list(parts.values()))
        sets = {part: self._vectors(table) for part, table in parts.items()}
        return Dataset(path.stem.removesuffix("_train"), sets.get("train"), sets.get("test"), self.classes)

    def load_all(self, sources: Sequence[str]) -> dict[str, Dataset]:
        """Several data sets, scaled over one box, so that equal rows are equal in all; raises as `load`."""
        loaded = {source: self.load(source) for source in sources}
        parts = [part for dataset in loaded.values() for part in (dataset.train, dataset.test) if part is not None]
        box = reduce(Box.joined, map(box_of, parts))

        def scaled(part: Images | None) -> Images | None:
            return None if part is None else within(part, box)

        return {
            source: dataset._replace(train=scaled(dataset.train), test=scaled(dataset.test))
            for source, dataset in loaded.items()
        }

    def _read(self, path: Path, name: str) -> Part:
        table = _table(path)
        names = table.column_names
        wanted = [self.label] if self.label else [each for each in names if each.lower() in LABEL_NAMES]
        if self.label and self.label not in names:
            raise DataError(f"{path} has no column {self.label!r}: {nearest(self.label, names)}")
        if len(wanted) != 1:
            raise DataError(
                f"{path}: which of its columns holds the labels is not clear: say it, as in "
                f"{path.name}?label={names[-1]}."
            )
        if table.num_rows == 0 or len(names) < 2:
            raise DataError(f"{path} holds no rows, or no column beside the labels.")
        labels = [_text(value) for value in table.column(wanted[0]).to_pylist()]
        if "" in labels:
            raise DataError(f"{path}: row {labels.index('') + 1} has no label.")
        if "" in names:
            raise DataError(f"{path} has a column without a name, the index that pandas writes: save with index=False.")
        columns = {
            each: table.column(each).combine_chunks()
            for each in names
            if each != wanted[0] and not _INDEX.fullmatch(each)
        }
        return Part(name, columns, labels)

    def _learn(self, parts: list[Part]) -> None:
        first = parts[0]
        self.columns = tuple(first.columns)
        self.classes = class_names([label for part in parts for label in part.labels])
        unknown = sorted(set(self.categories) - set(self.columns))
        if unknown:
            raise DataError(f"{first.name} has no column {unknown[0]!r}: {nearest(unknown[0], self.columns)}")
        for name in self.columns:
            if name not in self.categories and _numbers(first.columns[name]) is None:
                found = sorted({_text(value) for value in first.columns[name].to_pylist()} - {""})
                if len(found) > MOST:
                    raise DataError(
                        f"{first.name}: the column {name!r} holds {len(found)} different values that are no numbers: "
                        "leave it out of the table."
                    )
                self.categories[name] = tuple(found)

    def _vectors(self, part: Part) -> Vectors:
        if set(part.columns) != set(self.columns):
            odd = sorted(set(part.columns) ^ set(self.columns))[0]
            raise DataError(f"{part.name}: the column {odd!r} is not in all tables of the data.")
        blocks: list[NDArray[np.float64]] = []
        features: list[str] = []
        for name in self.columns:
            if name in self.categories:
                blocks.append(self._one_hot(part, name))
                features += [f"{name}={category}" for category in self.categories[name]]
            else:
                blocks.append(_column(part, name)[:, None])
                features.append(name)
        unseen = sorted(set(part.labels) - set(self.classes))
        if unseen:
            raise DataError(f"{part.name} has the label {unseen[0]!r}, which the training data do not have.")
        labels = np.array([self.classes.index(label) for label in part.labels])
        return Vectors(np.concatenate(blocks, axis=1), labels, part.name, features=features)

    def _one_hot(self, part: Part, name: str) -> NDArray[np.float64]:
        known = {category: place for place, category in enumerate(self.categories[name])}
        coded = np.zeros((len(part.labels), len(known)))
        for row, value in enumerate(part.columns[name].to_pylist()):
            text = _text(value)
            if text not in known:
                what = f"has the category {text!r}, which was never seen" if text else "is empty"
                raise DataError(
                    f"{part.name}: {name} of row {row + 1} {what}: declare it in a target file (under [data], "
                    f"categories.{name} = [...]), or leave the row out."
                )
            coded[row, known[text]] = 1.0
        return coded


def column_names(path: Path) -> list[str]:
    """The names of a table's columns; empty if the path is no table of plain columns, nor a folder of such."""
    from pyarrow import parquet

    try:
        file = next(iter(_files(path).values()))
        check_plain(file)
        if file.suffix.lower() == ".parquet":
            schema = parquet.read_schema(file)
            return [] if any(pa.types.is_nested(field.type) for field in schema) else list(schema.names)
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return next(csv.reader(lines, delimiter="\t" if file.suffix.lower() == ".tsv" else ","), [])
    except (DataError, LoadError, OSError, ValueError, csv.Error, pa.ArrowException):
        return []


def _files(path: Path) -> dict[str, Path]:
    """The files of the parts."""
    if path.is_dir():
        found = {
            part: file
            for part in ("train", "test")
            for suffix in SUFFIXES[::-1]
            if (file := path / f"{part}{suffix}").is_file()
        }
        if not found:
            raise DataError(f"{path} holds neither train.csv nor test.csv (or .tsv, .parquet) of vectors.")
        return found
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path} holds no vectors: a .csv, .tsv, .parquet or .npz file does, or a folder of such.")
    beside = path.with_name(path.name.replace("_train.", "_test."))
    return {"train": path} | ({"test": beside} if beside != path and beside.is_file() else {})


def _table(path: Path) -> pa.Table:
    from pyarrow import csv as tables

    if path.suffix.lower() == ".parquet":
        return read_parquet(path)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    check_plain(path)
    try:
        with path.open("rb") as file:
            width = file.readline(_LINE).count(delimiter.encode()) + 1
        if width > WIDEST:
            raise DataError(f"{path} has {width} columns or more; {WIDEST} can be read.")
        return tables.read_csv(path, parse_options=tables.ParseOptions(delimiter=delimiter))
    except (pa.ArrowException, OSError) as error:
        raise LoadError(f"{path} cannot be read as a table: {str(error).splitlines()[0].rstrip('.')}.") from error


def _text(value: object) -> str:
    """A cell as text: whole numbers without a point, nothing as the empty text."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _numbers(column: pa.Array) -> NDArray[np.float64] | None:
    """A column's numbers, NaN where there is none; None if it holds something else."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
        return None
    numbers: NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return numbers


def _column(part: Part, name: str) -> NDArray[np.float64]:
    numbers = _numbers(part.columns[name])
    if numbers is None:
        odd = _text(part.columns[name][0].as_py())
        raise DataError(f"{part.name}: the column {name!r} holds numbers in the training data, and {odd!r} here.")
    missing = np.flatnonzero(np.isnan(numbers))
    if len(missing):
        raise DataError(
            f"{part.name}: {name} of row {missing[0] + 1} is missing ({len(missing)} are): fill it in as the model's "
            "training did, or leave the row out."
        )
    return numbers


def _arrays(path: Path) -> Dataset:
    found = read_arrays(path, ("x_train", "y_train", "x_test", "y_test"))
    parts: dict[str, Vectors] = {}
    for part in ("train", "test"):
        x, y = found.get(f"x_{part}"), found.get(f"y_{part}")
        if (x is None) != (y is None):
            raise DataError(f"{path}: x_{part} and y_{part} belong together, and only one of them is there.")
        if x is not None and y is not None:
            parts[part] = Vectors(x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y, f"{path.stem} {part}")
    if not parts:
        raise DataError(f"{path} holds neither x_train nor x_test.")
    return Dataset(path.stem, parts.get("train"), parts.get("test"))
