"""Texts with labels: tables of comma- or tab-separated values."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from assay.base.errors import DataError, LoadError, nearest
from assay.base.reading import check_plain
from assay.data.formats.registry import Dataset, Reading, file_format
from assay.data.text_rows import MAX_BYTES, Texts

TEXT_NAMES = ("text", "sentence", "content", "review", "query", "utterance", "question")
LABEL_NAMES = ("label", "labels", "category", "class", "sentiment", "intent", "target")
"""What columns with texts and with labels are usually called, the first that is there."""

_DIGITS = 18
"""The most digits of a class's number."""

SUFFIXES = (".csv", ".tsv")
COLUMNS = {"text", "label"}


class Column(NamedTuple):
    """Texts and labels as written, in lists of equal length."""

    texts: list[str]
    labels: list[str]


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or _inside(path, "train") is not None or _inside(path, "test") is not None


def _inside(folder: Path, part: str) -> Path | None:
    return next((file for suffix in SUFFIXES if (file := folder / f"{part}{suffix}").is_file()), None)


@file_format("texts", _is_table, "a .csv or .tsv file of texts, or a folder that holds train.csv and test.csv")
def load_texts(path: Path, reading: Reading) -> Dataset:
    """A table with a column of texts and one of labels.

    Columns are found by their names (`TEXT_NAMES`, `LABEL_NAMES`); by ``reading.columns``, names or numbers from 1
    (``reviews.csv?text=review&label=stars``); or, in a table of two columns without a header, by their content: labels
    are the column with fewer different values. Labels 0 to k - 1 are class numbers, all others names, in sorted order.
    Where ``NAME_train.csv`` is asked for and ``NAME_test.csv`` lies beside it, that is the test part.

    Raises:
        LoadError: if a file cannot be read, or is not UTF-8.
        DataError: if columns cannot be told apart or are missing, or a row is incomplete.
    """
    if path.is_dir():
        train, test = _inside(path, "train"), _inside(path, "test")
    else:
        train, test = path, path.with_name(path.name.replace("_train.", "_test."))
        test = test if test != path and test.is_file() else None
    return load_tables(path.stem.removesuffix("_train"), train, test, reading)


def load_tables(name: str, train: Path | None, test: Path | None, reading: Reading) -> Dataset:
    """A data set from the files of its parts; columns are found as in `load_texts`."""
    unknown = sorted(set(reading.columns) - COLUMNS)
    if unknown:
        raise DataError(f"{name}: columns are given as text and label; there is no {unknown[0]!r}.")
    tables = {part: read_table(file, reading.columns) for part, file in (("train", train), ("test", test)) if file}
    classes = class_names([label for table in tables.values() for label in table.labels])
    length = reading.size[1] if reading.size else MAX_BYTES
    parts = {
        part: Texts(table.texts, np.array([classes.index(label) for label in table.labels]), f"{name} {part}", length)
        for part, table in tables.items()
    }
    return Dataset(name, parts.get("train"), parts.get("test"), classes)


def class_names(labels: Sequence[str]) -> tuple[str, ...]:
    """The different labels in the order of their classes: numbers by value, names by letter."""
    found = set(labels)
    numbers = all(label.isdecimal() and len(label) <= _DIGITS for label in found)
    return tuple(sorted(found, key=int) if numbers else sorted(found))


def read_table(path: Path, columns: Mapping[str, str]) -> Column:
    """Read the text and label columns of a file, found as in `load_texts`."""
    check_plain(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".tsv":
                reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            else:
                reader = csv.reader(file, strict=True)
            rows = [row for row in reader if row]
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise LoadError(f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}.") from error
    except csv.Error as error:
        raise LoadError(f"{path} is not a table of comma-separated values: {error}.") from error
    if not rows:
        raise DataError(f"{path} holds no texts.")
    header, (text, label) = _columns(path, rows, columns)
    body = rows[header:]
    if not body:
        raise DataError(f"{path} holds a header and no texts.")
    for number, row in enumerate(body, start=header + 1):
        if len(row) <= max(text, label) or not row[label].strip():
            raise DataError(f"{path}: row {number} has no label or no text ({len(row)} columns).")
    return Column([row[text] for row in body], [row[label].strip() for row in body])


def _columns(path: Path, rows: list[list[str]], asked: Mapping[str, str]) -> tuple[int, tuple[int, int]]:
    """Number of header rows (0 or 1), and the columns of texts and labels."""
    first = [cell.strip().lower() for cell in rows[0]]
    places: dict[str, int] = {}
    header = 0
    for role, usual in (("text", TEXT_NAMES), ("label", LABEL_NAMES)):
        wanted = asked.get(role)
        if wanted is not None and wanted.isdecimal():
            places[role] = int(wanted) - 1
            if not 0 <= places[role] < len(first):
                raise DataError(f"{path} has {len(first)} columns; column {wanted} was asked for.")
            continue
        names = [wanted.lower()] if wanted is not None else usual
        found = next((first.index(name) for name in names if name in first), None)
        if found is not None:
            places[role], header = found, 1
        elif wanted is not None:
            raise DataError(f"{path} has no column {wanted!r}: {nearest(wanted, rows[0])}")
    if len(places) == 1 and len(first) == 2:
        known = next(iter(places.values()))
        places.setdefault("text", 1 - known)
        places.setdefault("label", 1 - known)
    if not places and len(first) == 2:
        kinds = [len({row[place] for row in rows if len(row) == 2}) for place in (0, 1)]
        places = {"text": 0, "label": 1} if kinds[1] <= kinds[0] else {"text": 1, "label": 0}
    if len(places) < 2 or places["text"] == places["label"]:
        raise DataError(
            f"{path}: which of its {len(first)} columns holds texts and which labels is not clear; say so, as in "
            f"{path.name}?text=1&label=2."
        )
    return header, (places["text"], places["label"])
