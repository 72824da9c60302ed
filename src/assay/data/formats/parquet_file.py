"""Parquet files, whose parser is a large library in C++ and whose content may be far larger than the file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from assay.base.errors import LoadError
from assay.base.fence import try_first
from assay.base.reading import check_plain


def read_parquet(path: Path) -> pa.Table:
    """All of a file, which a child process read first.

    Raises:
        LoadError: if it is damaged, or takes more memory or time than a file of its size needs.
    """
    check_plain(path)
    try_first(partial(_read, path), path)
    return _read(path)


def _read(path: Path) -> pa.Table:
    try:
        table = parquet.ParquetFile(path).read(use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise LoadError(f"{path} cannot be read as a table: {first}.") from error
    return table
