"""SecurityNet's released table (``Database/README.MD``): annotated models and what its authors measured of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from assay.base.errors import LoadError
from assay.catalogue.entry import Entry, Source, listing, make_entry
from assay.catalogue.importers.imported import Imported
from assay.catalogue.measurement import Measurement
from assay.catalogue.names import dataset_name
from assay.catalogue.sources.addresses import arxiv_id

HEADING = "# SecurityNet Database"
PARTS = {"Benchmark Models": "benchmark", "Security Research Models": "security", "New Models": "new"}
NUMBERS = {
    "Train Accuracy": "train_accuracy",
    "Test Accuracy": "accuracy",
    "Overfit Gap": "gap",
    "Model Stealing Accuracy": "attack_accuracy",
    "Model Stealing Agreement": "agreement",
    "Correct Auc": "correctness_auc",
    "M_entropy AUC": "entropy_auc",
    "Wrn Accuracy": "wrn_accuracy",
    "Wrn Agree": "wrn_agreement",
    "ImgNet Accuracy": "imagenet_accuracy",
    "ImgNet Agree": "imagenet_agreement",
}
PROTOCOLS = {
    "attack_accuracy": "securitynet/stealing",
    "agreement": "securitynet/stealing",
    "wrn_accuracy": "securitynet/stealing-wrn50",
    "wrn_agreement": "securitynet/stealing-wrn50",
    "imagenet_accuracy": "securitynet/stealing-imagenet-queries",
    "imagenet_agreement": "securitynet/stealing-imagenet-queries",
    "correctness_auc": "securitynet/membership",
    "entropy_auc": "securitynet/membership",
}
"""Who stole with what: a ResNet-18 from scratch asking half of the training set; a WRN-50; ImageNet images."""
METRICS = {name: name.removeprefix("wrn_").removeprefix("imagenet_") for name in PROTOCOLS}
METRICS |= {"wrn_accuracy": "attack_accuracy", "imagenet_accuracy": "attack_accuracy"}
SOURCE = "SecurityNet"


class Row(NamedTuple):
    """One model. ``numbers`` holds what is known by the names of `NUMBERS`; shares in [0, 1], missing ones left out."""

    part: str
    place: int
    texts: dict[str, str]
    numbers: dict[str, float]

    @property
    def id(self) -> str:
        """The table names several models alike: its part, data set, name and place make an id."""
        name = re.sub(r"\s+", "-", self.texts["Model Name"])
        return f"securitynet/{self.part}/{self.texts['Data Name'].lower()}/{name}#{self.place}"


class Tables(NamedTuple):
    """The two tables of measured models, and the titles of the third, which has no measurements."""

    benchmark: list[Row]
    security: list[Row]
    new: list[dict[str, str]]


def read_tables(path: Path) -> Tables:
    """The released tables. A zero or ``nan`` means missing there, except for an overfitting gap of measured accuracies.

    Raises:
        LoadError: if a part is missing, or a line has not as many cells as its heading; the message names the line.
    """
    parts: dict[str, list[tuple[int, list[str]]]] = {}
    part: str | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("## "):
            part = PARTS.get(line[3:].strip())
        elif part and line.startswith("|"):
            parts.setdefault(part, []).append((number, [cell.strip() for cell in line.strip()[1:-1].split("|")]))
    for title, name in PARTS.items():
        if name not in parts:
            raise LoadError(f"{path.name} is not SecurityNet's table: it has no part '{title}'.")
    tables = {name: _records(path, lines) for name, lines in parts.items()}
    rows = {
        name: [_row(path, name, place, number, texts) for place, (number, texts) in enumerate(tables[name], start=1)]
        for name in ("benchmark", "security")
    }
    return Tables(rows["benchmark"], rows["security"], [texts for _, texts in tables["new"]])


def _records(path: Path, lines: list[tuple[int, list[str]]]) -> list[tuple[int, dict[str, str]]]:
    heading = lines[0][1]
    for number, cells in lines[2:]:
        if len(cells) != len(heading):
            raise LoadError(f"{path.name}, line {number} has {len(cells)} cells; its heading has {len(heading)}.")
    return [(number, dict(zip(heading, cells, strict=True))) for number, cells in lines[2:]]


def _row(path: Path, part: str, place: int, line: int, texts: dict[str, str]) -> Row:
    numbers = {}
    for heading, name in NUMBERS.items():
        try:
            value = float(texts.get(heading, "nan"))
        except ValueError:
            raise LoadError(f"{path.name}, line {line}: {heading} is {texts[heading]!r}, not a number.") from None
        if value == value and value != 0.0:
            numbers[name] = value
    if "train_accuracy" in numbers and "accuracy" in numbers:
        numbers["gap"] = float(texts["Overfit Gap"])
    else:
        numbers.pop("gap", None)
    return Row(part, place, texts, numbers)


def read(path: Path) -> Imported:
    """The measured models as entries, and their measurements, each under the protocol that it belongs to.

    Raises:
        LoadError: as `read_tables`.
    """
    tables = read_tables(path)
    rows = [*tables.benchmark, *tables.security]
    source = Source(name="securitynet", title="SecurityNet (USENIX Security 2024), released table")
    measured = [
        Measurement(record=row.id, protocol=protocol, metric=METRICS[name], value=row.numbers[name], source=SOURCE)
        for row in rows
        for name, protocol in PROTOCOLS.items()
        if name in row.numbers
    ]
    return Imported(listing(source, map(_entry, rows)), tuple(measured))


def _entry(row: Row) -> Entry:
    """A row; models of the imgclsmob repository are pytorchcv's of the same name."""
    texts = row.texts
    dataset = dataset_name(texts["Data Name"])
    link, weights = _address(texts["Paper Link"]), _address(texts["Weights"])
    values: dict[str, Any] = {
        "id": row.id,
        "same_as": (f"pytorchcv/{texts['Model Name']}",) if "osmr/imgclsmob" in weights else (),
        "task": "image classification",
        "dataset": dataset,
        "topic": texts["Data Category"],
        "training_size": int(texts["Training Size"]),
        "classes": int(texts["Num Class"]),
        "venue": texts["Conference"],
        "venue_type": {"Security": "security"}.get(texts["Conference Type"], texts["Conference Type"]),
        "year": int(texts["Year"]),
        "authors": int(texts["Num Authors"]),
        "country": tuple(sorted(name.strip() for name in texts["Country"].split(","))),
        "architecture": re.sub(r"(_(cifar100?|svhn|cub))?(\.pth|\.ckpt)?$", "", texts["Model Name"]),
        "purpose": texts["Purpose"],
        "paper": arxiv_id(link) or link,
        "top1": row.numbers.get("accuracy"),
        "evaluated_on": f"{dataset} test",
    }
    return make_entry(f"model {row.place} of the {row.part} models", values)


def _address(cell: str) -> str:
    match = re.search(r"\((\S+)\)", cell)
    return match[1] if match else cell
