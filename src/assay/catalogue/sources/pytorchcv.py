"""pytorchcv's image classifiers, from the table in its package and the tables in its description."""

from __future__ import annotations

import csv
import re
from io import StringIO
from pathlib import Path

from assay.catalogue.entry import Entry, Listing, Source, listing
from assay.catalogue.packages import find_package

RELEASES = "https://github.com/osmr/imgclsmob/releases/download"
DATASETS = {"in1k": "imagenet-1k", "cub": "cub200", "cifar10": "cifar10", "cifar100": "cifar100", "svhn": "svhn"}
NATIVE = {"cifar10": (3, 32, 32), "cifar100": (3, 32, 32), "svhn": (3, 32, 32)}


def entries(wheels: Path | None) -> Listing:
    """One entry for each row of ``model_metainfos.csv`` that is an image classifier with weights."""
    package = find_package("pytorchcv", wheels)
    table = package.root / "pytorchcv" / "models" / "common" / "model_metainfos.csv"
    top1 = _top1_errors(package.description)
    found = []
    for row in csv.DictReader(StringIO(table.read_text(encoding="utf-8"))):
        kind = row["model_name"].rsplit("_", 1)[-1] if row["test_dataset"] == "cf" else row["test_dataset"]
        if kind in DATASETS and row["checksum"] != "NA":
            found.append(_entry(row, DATASETS[kind], top1))
    return listing(Source(name="pytorchcv", title="pytorchcv", version=package.version), found)


def _entry(row: dict[str, str], dataset: str, top1_errors: dict[str, float]) -> Entry:
    name, error = row["model_name"], int(row["error_value"]) / 1e4
    top1_error = top1_errors.get(name) if dataset == "imagenet-1k" else error
    size = int(row["img_size"]) if row["img_size"] != "NA" else None
    file = f"{name}-{row['error_value']}-{row['checksum'][:8]}.pth"
    return Entry(
        id=f"pytorchcv/{name}",
        task="image classification",
        dataset=dataset,
        input=(3, size, size) if size else NATIVE.get(dataset),
        architecture=re.sub(r"_(cifar100?|svhn|cub)$", "", name),
        parameters=int(row["net_weights"]),
        purpose="benchmark",
        paper=row["arxiv_paper"] if re.fullmatch(r"\d{4}\.\d{4,5}", row["arxiv_paper"]) else None,
        top1=None if top1_error is None else round(1 - top1_error, 5),
        top5=round(1 - error, 5) if dataset == "imagenet-1k" else None,
        evaluated_on="imagenet-1k validation" if dataset == "imagenet-1k" else f"{dataset} test",
        weights_url=f"{RELEASES}/{row['repo_release_tag']}/{file}.zip",
        weights_digest=f"sha1:{row['checksum']}",
        format="torch",
        crop=float(row["img_scale"]) if row["img_scale"] != "NA" else None,
        builder=f"pytorchcv:{name}",
    )


def _top1_errors(description: str) -> dict[str, float]:
    """Top-1 errors of the ImageNet table, by the model's name in the address of its training log."""
    errors = {}
    for line in description.partition("### ImageNet-1K")[2].partition("\n### ")[0].splitlines():
        log = re.search(r"/([\w]+)-\d{4}-[0-9a-f]{8}\.pth\.log", line)
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if log and len(cells) > 2:
            errors[log[1]] = float(cells[1]) / 100
    return errors
