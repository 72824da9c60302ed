"""Records as columns: for queries, for statistics and for files."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from assay.base.errors import UsageError
from assay.catalogue.catalogue import Catalogue
from assay.catalogue.codebook import CODEBOOK, Facts, Kind
from assay.catalogue.loading import loads
from assay.catalogue.query import EXTRA, compile_query
from assay.catalogue.record import Record

_TYPES: dict[Kind, pa.DataType] = {
    "number": pa.float64(),
    "text": pa.string(),
    "truth": pa.bool_(),
    "texts": pa.list_(pa.string()),
    "shape": pa.string(),
    "object": pa.string(),
}
_SHARES = frozenset({"top1", "top5", "robust_accuracy", "crop"})
SUFFIXES = (".parquet", ".csv", ".json")


def to_arrow(catalogue: Catalogue, records: Sequence[Record]) -> pa.Table:
    """One row per record, one column per field of the codebook, with unit and description in the metadata.

    Unknown is null. Sizes are texts (``3x224x224``); further columns are those of `assay.catalogue.query.EXTRA`.
    """
    extra: dict[str, list[Any]] = {
        "id": [record.id for record in records],
        "height": [record.facts.input[1] if record.facts.input else None for record in records],
        "width": [record.facts.input[2] if record.facts.input else None for record in records],
        "channels": [record.facts.input[0] if record.facts.input else None for record in records],
        "sources": [list(record.sources) for record in records],
        "conflicts": [len(record.conflicts) for record in records],
        "measured": [len(catalogue.measured(record)) for record in records],
        "loads": [loads(record) for record in records],
    }
    fields, columns = [], []
    for name, kind in EXTRA.items():
        fields.append(pa.field(name, pa.int64() if kind == "number" else _TYPES[kind]))
        columns.append(pa.array(extra[name], fields[-1].type))
    for name, code in CODEBOOK.items():
        whole = code.kind == "number" and name not in _SHARES
        kind = pa.int64() if whole else _TYPES[code.kind]
        fields.append(pa.field(name, kind, metadata={"description": code.description, "unit": code.unit}))
        columns.append(pa.array([plain(record.facts, name) for record in records], kind))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def plain(facts: Facts, name: str) -> Any:
    """A field's value as a column holds it: sizes as texts, preprocessing as JSON."""
    value = getattr(facts, name)
    kind = CODEBOOK[name].kind
    if value is None or kind in ("number", "text", "truth"):
        return value
    if kind == "shape":
        return "x".join(map(str, value))
    return list(value) if kind == "texts" else value.model_dump_json()


class Search:
    """A catalogue in an in-memory DuckDB table, for queries."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._records = {record.id: record for record in catalogue.records}
        self._connection = duckdb.connect(":memory:")
        self._connection.register("records", to_arrow(catalogue, catalogue.records))

    def find(self, query: str) -> list[Record]:
        """Records that a query (see `assay.catalogue.query`) selects, in its order.

        Raises:
            UsageError: if the query cannot be read or names a field that does not exist.
        """
        compiled = compile_query(query)
        limit = f" limit {compiled.limit}" if compiled.limit else ""
        sql = f'select "id" from records where {compiled.where} order by {compiled.order}{limit}'
        rows = self._connection.execute(sql, list(compiled.parameters)).fetchall()
        return [self._records[row[0]] for row in rows]


def export(catalogue: Catalogue, records: Sequence[Record], path: Path) -> None:
    """Write records to a Parquet, CSV or JSON file, by its suffix. In JSON each field keeps its origin.

    Raises:
        UsageError: if the suffix is another.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(to_arrow(catalogue, records), path)
    elif suffix == ".csv":
        table = to_arrow(catalogue, records)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, table.column_names, lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: _flat(value) for name, value in row.items()} for row in table.to_pylist())
    elif suffix == ".json":
        rows = [
            {
                **record.model_dump(mode="json", exclude_none=True),
                "measured": [found.model_dump(exclude_none=True) for found in catalogue.measured(record)],
            }
            for record in records
        ]
        path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    else:
        raise UsageError(
            f"A catalogue is exported as {', '.join(SUFFIXES)}, not as {suffix or 'a file without suffix'}."
        )


def _flat(value: Any) -> Any:
    return "; ".join(value) if isinstance(value, list) else value
