"""FrugalML's recordings, as they are published or as one table per data set, and a table of prices.

Chen et al., FrugalML, NeurIPS 2020; github.com/lchen001/FrugalML. The publication has a folder
``mlserviceperformance_NAME`` per data set, with one value per line in ``Model{i}_PredictedLabel.txt`` (among the task's
classes), ``Model{i}_Confidence.txt``, ``Model{i}_TrueLabel.txt`` and ``Model{i}_ImageName.txt``, the last two the same
for all services and possibly given for one alone; ``meta.csv`` maps ``i`` to a service and its price for 10,000
questions. A table ``NAME.tsv.gz`` has the columns ``example``, ``true``, and for each service ``S_pred``, ``S_orig``
(its own class) and, where it was recorded, ``S_conf``; its prices are in ``meta_NAME.csv``.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.access.recorded.recording import UNANSWERED, RecordedSet, Recording
from assay.base.errors import LoadError

SUFFIX = ".tsv.gz"
PREFIX = "mlserviceperformance_"
_MODEL = re.compile(r"\D")
DATE = ""
"""The tables say no date; they were published by 2020-10-21."""


def tables(path: Path) -> list[Path]:
    """The sets that a path names: itself, or those in the folder or in its folder ``dataset``."""
    if not path.is_dir():
        return [path] if path.name.endswith(SUFFIX) else []
    if path.name.startswith(PREFIX):
        return [path]
    folders = [*path.glob(f"{PREFIX}*"), *path.glob(f"dataset/{PREFIX}*")]
    return sorted(path.glob(f"*{SUFFIX}")) or sorted(folder for folder in folders if folder.is_dir())


def set_name(table: Path) -> str:
    """The name of the data set of one of `tables`."""
    return table.name.removeprefix(PREFIX).removesuffix(SUFFIX)


def read(path: Path) -> RecordedSet:
    """The services of one table or folder, in its order.

    A label that is no class of the truth says that the service gave none (speech that was not understood). Where names
    of examples repeat (recordings of several words by one speaker), the true label is put before them.

    Raises:
        LoadError: if the table or the prices cannot be read, or are not such tables.
        DataError: if a confidence is not in [0, 1].
    """
    name = set_name(path)
    prices = _prices(path / "meta.csv" if path.is_dir() else path.with_name(f"meta_{name}.csv"))
    if path.is_dir():
        columns = _folder_columns(path, prices)
    else:
        columns = _columns(path)
        for needed in ("example", "true"):
            if needed not in columns:
                raise LoadError(f"{path} has no column {needed!r}: it is not one of FrugalML's tables.")
    costs = {price.service: price.dollars for price in prices}
    truth = np.asarray(columns["true"], np.int64)
    classes = int(truth.max()) + 1
    examples = tuple(columns["example"])
    if len(set(examples)) < len(examples):
        examples = tuple(f"{label}/{example}" for label, example in zip(truth.tolist(), examples, strict=True))
    services = [column.removesuffix("_pred") for column in columns if column.endswith("_pred")]

    def recording(service: str) -> Recording:
        labels: NDArray[np.int64] = np.asarray(columns[f"{service}_pred"], np.int64)
        confidence = columns.get(f"{service}_conf")
        return Recording(
            service=service,
            dataset=name,
            examples=examples,
            labels=np.where((labels >= 0) & (labels < classes), labels, UNANSWERED),
            confidence=None if confidence is None else np.asarray(confidence, np.float64),
            num_classes=classes,
            date=DATE,
            price_per_10k=costs.get(service),
        )

    return RecordedSet(name=name, truth=truth, recordings=tuple(map(recording, services)))


def _columns(path: Path) -> dict[str, Any]:
    """Columns by name: texts, whole numbers, and floats for confidences."""
    import pyarrow as pa
    from pyarrow import csv as table

    kinds = {"example": pa.string(), "true": pa.int64()}
    try:
        with pa.CompressedInputStream(pa.OSFile(str(path)), "gzip") as stream:
            head = stream.read(1 << 16).split(b"\n")[0].decode().split("\t")
        kinds |= {name: pa.int64() for name in head if name.endswith("_pred")}
        kinds |= {name: pa.float64() for name in head if name.endswith("_conf")}
        options = table.ConvertOptions(column_types=kinds, include_columns=[name for name in head if name in kinds])
        found = table.read_csv(path, parse_options=table.ParseOptions(delimiter="\t"), convert_options=options)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise LoadError(f"{path} cannot be read as a table of recorded answers: {reason}.") from error
    if not found.num_rows:
        raise LoadError(f"{path} holds no answers.")
    if gaps := [name for name in found.column_names if found[name].null_count]:
        raise LoadError(f"{path} has cells without a value in the column {gaps[0]!r}.")
    return {
        name: found[name].to_pylist() if name == "example" else found[name].to_numpy() for name in found.column_names
    }


def _folder_columns(folder: Path, prices: list[Price]) -> dict[str, Any]:
    """The columns of a published folder, under the names that a table has."""
    found = sorted(folder.glob("Model*_PredictedLabel.txt"), key=lambda file: int(_MODEL.sub("", file.name) or -1))
    if not found:
        raise LoadError(f"{folder} holds no Model{{i}}_PredictedLabel.txt: it is not one of FrugalML's folders.")
    names = {price.number: price.service for price in prices}
    truths, examples = sorted(folder.glob("Model*_TrueLabel.txt")), sorted(folder.glob("Model*_ImageName.txt"))
    if not truths:
        raise LoadError(f"{folder} holds no Model{{i}}_TrueLabel.txt: the true labels are missing.")
    columns: dict[str, Any] = {"true": _numbers(truths[0]).astype(np.int64)}
    count = len(columns["true"])
    if not count:
        raise LoadError(f"{folder} holds no answers.")
    columns["example"] = (
        [line.rstrip(",") for line in _lines(examples[0])] if examples else list(map(str, range(count)))
    )
    for file in found:
        index = _MODEL.sub("", file.name)
        service = names.get(index, f"Model{index}")
        columns[f"{service}_pred"] = _numbers(file).astype(np.int64)
        confidence = file.with_name(f"Model{index}_Confidence.txt")
        if confidence.is_file():
            columns[f"{service}_conf"] = _numbers(confidence)
    for name, column in columns.items():
        if len(column) != count:
            raise LoadError(f"{folder} has {count} true labels, and {len(column)} values of {name!r}.")
    return columns


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text("utf-8").split("\n")  # names may hold other line ends
        return [line.strip() for line in (lines if lines[-1].strip() else lines[:-1])]
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"{file} cannot be read as one value per line: {error}.") from error


def _numbers(file: Path) -> NDArray[np.float64]:
    try:
        return np.array(_lines(file), dtype=np.float64)
    except ValueError as error:
        raise LoadError(f"{file} cannot be read as one number per line: {error}.") from error


class Price(NamedTuple):
    """A line of the table of prices: US dollars for 10,000 questions to a service, and the model's number."""

    number: str
    service: str
    dollars: float


def _prices(path: Path) -> list[Price]:
    """The table of prices; empty if there is no such file."""
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))[1:]
        return [Price(row[0].strip(), row[1].strip(), float(row[2])) for row in rows if row]
    except (OSError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise LoadError(f"{path} is not a table of prices: index, service, cost per 10k.") from error
