"""FrugalML's recordings: one table a data set, and a table of prices beside it.

Chen et al., FrugalML, NeurIPS 2020; github.com/lchen001/FrugalML. A table ``NAME.tsv.gz`` has the columns ``example``,
``true``, and for each service ``S_pred`` (its label among the task's classes), ``S_orig`` (its own class) and, where it
was recorded, ``S_conf``. ``meta_NAME.csv`` has the prices for 10,000 questions.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.access.recorded.recording import UNANSWERED, RecordedSet, Recording
from assay.base.errors import LoadError

SUFFIX = ".tsv.gz"
DATE = ""
"""The tables say no date; they were published by 2020-10-21."""


def tables(path: Path) -> list[Path]:
    """The tables that a path names: itself, or those in the folder."""
    return sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path] if path.name.endswith(SUFFIX) else []


def read(path: Path) -> RecordedSet:
    """The services of one table, in its order.

    A label that is no class of the truth says that the service gave none (speech that was not understood). Where names
    of examples repeat (recordings of several words by one speaker), the true label is put before them.

    Raises:
        LoadError: if the table or the prices cannot be read, or are not such tables.
        DataError: if a confidence is not in [0, 1].
    """
    name = path.name.removesuffix(SUFFIX)
    columns = _columns(path)
    for needed in ("example", "true"):
        if needed not in columns:
            raise LoadError(f"{path} has no column {needed!r}: it is not one of FrugalML's tables.")
    truth = np.asarray(columns["true"], np.int64)
    classes = int(truth.max()) + 1
    examples = tuple(columns["example"])
    if len(set(examples)) < len(examples):
        examples = tuple(f"{label}/{example}" for label, example in zip(truth.tolist(), examples, strict=True))
    prices = _prices(path.with_name(f"meta_{name}.csv"))
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
            price_per_10k=prices.get(service),
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


def _prices(path: Path) -> dict[str, float]:
    """US dollars for 10,000 questions, by service; nothing where there is no such file."""
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row[1].strip(): float(row[2]) for row in list(csv.reader(file))[1:] if row}
    except (OSError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise LoadError(f"{path} is not a table of prices: index, service, cost per 10k.") from error
