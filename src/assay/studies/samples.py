"""Per-sample outcomes in a file: the one writer, and the one reader, of ``samples.parquet``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from assay.base.errors import WorkspaceError
from assay.methods.finding import Samples

SAMPLES = "samples.parquet"
"""The name of the file in an outcome's folder."""

ROLES = b"assay.samples"
"""Key of the file's metadata: JSON of the columns that are outcomes, and of those that are scores."""


def write_samples(samples: Samples, file: Path) -> None:
    """Write samples as one table, the roles of its columns beside it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    roles = {"outcomes": list(samples.outcomes), "scores": list(samples.scores)}
    table = pa.table({name: pa.array(column) for name, column in samples.table().items()})
    pq.write_table(table.replace_schema_metadata({ROLES: json.dumps(roles).encode()}), file)


def read_samples(file: Path) -> Samples:
    """What `write_samples` wrote.

    Raises:
        WorkspaceError: if the file is missing, damaged, or not of this form.
    """
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        table = pq.read_table(file)
        roles = json.loads(table.schema.metadata[ROLES])
        columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
        outcomes = {name: columns.pop(name).astype(np.float64) for name in roles["outcomes"]}
        scores = {name: columns.pop(name).astype(np.float64) for name in roles["scores"]}
        part = columns.pop("part").astype(np.str_)
        positive = columns.pop("positive", None)
        return Samples(columns.pop("row"), part, outcomes, scores, positive, columns)
    except (OSError, ArrowException, KeyError, TypeError, ValueError) as error:
        raise WorkspaceError(f"The samples in {file} cannot be read: {error}.") from error
