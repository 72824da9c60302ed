"""HAPI's recordings: dated answers of services, one JSON file a service, data set and date.

Chen et al., HAPI: A Large-scale Longitudinal Dataset of Commercial ML API Predictions, NeurIPS 2022;
github.com/lchen001/HAPI. ``tasks/meta.csv`` lists the files ``TASK/DATASET/SERVICE/DATE.json``, each a list of
``{"example_id", "predicted_label", "confidence"}``; ``TASK/DATASET/labels.json`` is a list of ``{"example_id",
"true_label"}``. Services that answer with one class are read (emotions, sentiments, spoken words); those that find
several things in one example (tags, entities, texts) are not.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assay.access.recorded.recording import UNANSWERED, RecordedSet, Recording
from assay.base.errors import DataError, LoadError

META = "meta.csv"
LABELS = "labels.json"
Listing = list[dict[str, str]]


def listed(path: Path) -> dict[str, Listing]:
    """What HAPI's folder (or its ``tasks``) lists, by ``TASK/DATASET``; nothing if it is no such folder.

    Raises:
        LoadError: if the list cannot be read.
    """
    meta = _tasks(path) / META
    if not meta.exists():
        return {}
    sets: dict[str, Listing] = {}
    try:
        with meta.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                sets.setdefault(f"{row['task']}/{row['dataset']}", []).append(row)
                float(row["cost_per_10k"] or 0), row["api"], row["date"], row["path"]
    except (OSError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise LoadError(f"{meta} is not HAPI's list of task, dataset, api, date, path and cost_per_10k.") from error
    return dict(sorted(sets.items()))


def read(path: Path, rows: Listing) -> RecordedSet:
    """One listed data set: every service and date, on the examples that all of them answered about.

    Raises:
        LoadError: if a file is missing, damaged, or not in this format.
        DataError: if no example was put to all services, or a value is wrong.
    """
    tasks = _tasks(path)
    name = f"{rows[0]['task']}/{rows[0]['dataset']}"
    truth = read_labels(tasks / name / LABELS)
    answers = {row["path"]: _answers(tasks / row["path"]) for row in rows}
    shared = [example for example in truth if all(example in found for found in answers.values())]
    if not shared:
        raise DataError(f"No labelled example of {name} was put to all of its services.")
    recordings = tuple(
        _recording(
            {example: answers[row["path"]][example] for example in shared},
            truth,
            service=row["api"],
            dataset=name,
            date=row["date"],
            price=float(row["cost_per_10k"]) if row["cost_per_10k"] else None,
        )
        for row in rows
    )
    return RecordedSet(name=name, truth=np.array([truth[example] for example in shared]), recordings=recordings)


def read_dated(path: Path, truth: Mapping[str, int]) -> Recording:
    """One file ``.../DATASET/SERVICE/DATE.json``: the labelled examples that it answers about.

    Raises:
        LoadError: if it is missing, damaged, or not in this format.
        DataError: if it answers about none of the labelled examples, or a value is wrong.
    """
    found = {example: answer for example, answer in _answers(path).items() if example in truth}
    if not found:
        raise DataError(f"{path} answers about none of the {len(truth):,} labelled examples.")
    place = path.resolve().parent
    return _recording(found, truth, service=place.name, dataset=place.parent.name, date=path.stem, price=None)


def read_labels(path: Path) -> dict[str, int]:
    """True labels by example.

    Raises:
        LoadError: if the file is missing, damaged, or not in this format.
    """
    try:
        truth = {str(row["example_id"]): row["true_label"] for row in _rows(path)}
    except (KeyError, TypeError) as error:
        raise LoadError(f"{path} is not a list of example_id and true_label.") from error
    for example, label in truth.items():
        if not _is_class(label):
            raise LoadError(f"{path}: the true label of {example!r} is {label!r}; one class number is needed.")
    if not truth:
        raise LoadError(f"{path} labels nothing.")
    return truth


def _tasks(path: Path) -> Path:
    return path / "tasks" if (path / "tasks").is_dir() else path


def _answers(path: Path) -> dict[str, dict[str, Any]]:
    """Rows by example; with several about one, the last."""
    try:
        found = {str(row["example_id"]): row for row in _rows(path)}
        for row in found.values():
            row["predicted_label"], row["confidence"]
    except (KeyError, TypeError) as error:
        raise LoadError(f"{path} is not a list of example_id, predicted_label and confidence.") from error
    return found


def _rows(path: Path) -> list[Any]:
    try:
        rows = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise LoadError(f"{path} is not JSON, or is cut short.") from error
    if not isinstance(rows, list):
        raise LoadError(f"{path} is not a list.")
    return rows


def _recording(
    answers: Mapping[str, Mapping[str, Any]],
    truth: Mapping[str, int],
    *,
    service: str,
    dataset: str,
    date: str,
    price: float | None,
) -> Recording:
    """Answers as a recording; a null, negative or unknown class is no answer, and has no confidence."""
    classes = max(truth.values()) + 1
    labels, confidence = [], []
    for example, answer in answers.items():
        label, sure = answer["predicted_label"], answer["confidence"]
        if label is not None and not isinstance(label, int):
            raise DataError(f"{service} answers about {example!r} with {label!r}; one class number is needed.")
        known = label is not None and 0 <= label < classes
        labels.append(label if known else UNANSWERED)
        if sure is not None and not isinstance(sure, int | float):
            raise DataError(f"{service} answers about {example!r} with the confidence {sure!r}; a number is needed.")
        confidence.append(sure if known else 0.0)
    recorded = None not in confidence
    return Recording(
        service=service,
        dataset=dataset,
        examples=tuple(answers),
        labels=np.array(labels, np.int64),
        confidence=np.array(confidence, np.float64) if recorded else None,
        num_classes=classes,
        date=date,
        price_per_10k=price,
    )


def _is_class(label: Any) -> bool:
    return isinstance(label, int) and not isinstance(label, bool) and label >= 0
