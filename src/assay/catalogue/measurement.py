"""Measured results of attacks on catalogued models, each under a named protocol."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from assay.base.digests import canonical_json
from assay.base.errors import LoadError
from assay.base.files import write_text
from assay.base.frozen import Frozen
from assay.catalogue.entry import explain, json_lines


class Measurement(Frozen):
    """One number about one model.

    ``record`` is an id or one of the names of a record. ``protocol`` says how it was measured: numbers under two
    protocols are never compared. ``low`` and ``high`` are the ends of its interval, if one was given; ``n`` is
    the sample size. ``source`` is who measured it.
    """

    record: str
    protocol: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    source: str


def write_measurements(path: Path, measurements: Iterable[Measurement]) -> None:
    """Write one JSON object per line, sorted. Deterministic."""
    lines = sorted({canonical_json(measurement.model_dump(exclude_none=True)) for measurement in measurements})
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_measurements(path: Path) -> list[Measurement]:
    """Read a file of `write_measurements`.

    Raises:
        LoadError: if a line is not a measurement; the message names the line.
    """
    found = []
    for number, line in enumerate(json_lines(path.read_text(encoding="utf-8")), start=1):
        try:
            found.append(Measurement.model_validate(json.loads(line)))
        except (ValueError, RecursionError) as error:
            raise LoadError(f"{path.name}, line {number}: {explain(error)}") from error
    return found
