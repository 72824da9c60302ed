"""timm's results tables (``results-*.csv``): accuracies of its pretrained models."""

from __future__ import annotations

import csv
from pathlib import Path

from assay.base.errors import LoadError
from assay.catalogue.entry import Entry, Source, listing
from assay.catalogue.importers.imported import Imported

SETS = {
    "results-imagenet.csv": "imagenet-1k validation",
    "results-imagenet-real.csv": "imagenet-1k validation, ReaL labels",
    "results-imagenetv2-matched-frequency.csv": "ImageNetV2 matched frequency",
    "results-sketch.csv": "ImageNet-Sketch",
    "results-imagenet-a.csv": "ImageNet-A",
    "results-imagenet-r.csv": "ImageNet-R",
}
COLUMNS = ("model", "img_size", "top1", "top5", "param_count", "crop_pct", "interpolation")


class Row:
    """One line: a model's name, the input size it was evaluated at, and its accuracies as shares."""

    def __init__(self, row: dict[str, str]) -> None:
        self.model = row["model"]
        self.size = int(row["img_size"])
        self.top1, self.top5 = (round(float(row[name]) / 100, 5) for name in ("top1", "top5"))
        self.parameters = float(row["param_count"].replace(",", ""))
        """In millions, rounded to two decimals."""


def rows(path: Path) -> list[Row]:
    """The lines of such a table.

    Raises:
        LoadError: if a column is missing or a line does not have the numbers it should.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise LoadError(f"{path.name} is not a results table of timm: it has no column {missing[0]!r}.")
        found = []
        for row in reader:
            try:
                found.append(Row(row))
            except (TypeError, ValueError, AttributeError) as error:
                raise LoadError(f"{path.name}, line {reader.line_num}: {error}.") from error
    return found


def read(path: Path) -> Imported:
    """Accuracies of the table's models, which are timm's of the same names.

    Raises:
        LoadError: as `rows`.
    """
    name = f"timm-{path.stem}".replace("_", "-").replace(".", "-").lower()
    source = Source(name=name, title=f"timm's {path.name}")
    return Imported(listing(source, (_entry(name, SETS.get(path.name, path.stem), row) for row in rows(path))))


def _entry(source: str, evaluated_on: str, row: Row) -> Entry:
    return Entry(
        id=f"{source}/{row.model}@{row.size}",
        same_as=(f"timm/{row.model}",),
        task="image classification",
        top1=row.top1,
        top5=row.top5,
        evaluated_on=f"{evaluated_on} at {row.size}",
    )
