"""Networks of installed packages, and the packaged table of their complexity, computed on the meta device."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch

from assay.base.errors import AssayError, LoadError, UsageError
from assay.base.progress import Progress
from assay.base.vision import import_timm
from assay.catalogue.enrich import COMPUTED_COLUMNS, Computed, parse_computed
from assay.catalogue.entry import Entry
from assay.catalogue.sources.timm import is_classifier
from assay.targets.architectures.libraries import timm_library, torchvision_models
from assay.targets.complexity import complexity

Shape = tuple[int, int, int]


def build_published(
    builder: str, classes: int | None, input_shape: Shape | None, device: str = "meta"
) -> torch.nn.Module:
    """Build a network of an installed package, with random or (on the meta device) no weights.

    ``builder`` is ``timm:NAME``, where a tag fixes classes and input size; ``torchvision:NAME``; or
    ``pytorchcv:NAME``, which fixes both.

    Raises:
        UsageError: if the package is unknown or not installed, or has no such network.
    """
    package, _, name = builder.partition(":")
    builders = {"timm": _timm, "torchvision": _torchvision, "pytorchcv": _pytorchcv}
    if package not in builders:
        raise UsageError(f"No installed package builds {builder!r}; known: {', '.join(builders)}.")
    try:
        return builders[package](name, classes, input_shape, torch.device(device))
    except ModuleNotFoundError as error:
        raise UsageError(f"{builder} needs the package {error.name}, which is not installed.") from error
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"{package} cannot build {name!r}: {error}") from error


def _timm(name: str, classes: int | None, input_shape: Shape | None, device: torch.device) -> torch.nn.Module:
    with device:
        module: torch.nn.Module = timm_library(name).create_model(name, pretrained=False)
    return module


def _torchvision(name: str, classes: int | None, input_shape: Shape | None, device: torch.device) -> torch.nn.Module:
    models = torchvision_models(name)
    options: dict[str, object] = {"num_classes": classes or 1000}
    if name.startswith("vit_") and input_shape is not None:
        options["image_size"] = input_shape[-1]
    if name == "googlenet":
        options |= {"aux_logits": False, "init_weights": False}
    if name == "inception_v3":
        options["init_weights"] = False
    if name.startswith("regnet"):  # its initialisation reads a value, which the meta device does not have
        module: torch.nn.Module = models.get_model(name, weights=None, **options).to(device)
        return module
    with device:
        module = models.get_model(name, weights=None, **options)
    return module


def _pytorchcv(name: str, classes: int | None, input_shape: Shape | None, device: torch.device) -> torch.nn.Module:
    from pytorchcv.model_provider import get_model

    with device:
        module: torch.nn.Module = get_model(name)
    return module


def own_input(module: torch.nn.Module) -> Shape | None:
    """The input size stored in a network (pytorchcv's have one): channels, height, width; None if there is none."""
    size = getattr(module, "in_size", None)
    return (int(getattr(module, "in_channels", 3)), int(size[0]), int(size[1])) if size else None


class Job(NamedTuple):
    """One configuration to compute; builders with one ``key`` are one configuration."""

    key: tuple[str, int | None, Shape | None]
    builder: str
    classes: int | None
    input: Shape | None


def jobs(entries: Iterable[Entry]) -> list[Job]:
    """Every configuration that an installed package builds: those of entries, and timm's without public weights."""
    found = {}
    for entry in entries:
        if entry.builder:
            name = entry.architecture if entry.builder.startswith("timm:") else entry.builder
            key = (name or entry.builder, entry.classes, entry.input)
            found[entry.builder, entry.input] = Job(key, entry.builder, entry.classes, entry.input)
    models = import_timm().models
    for name in models.list_models():
        config = models.get_pretrained_cfg(name)
        if is_classifier(config.num_classes):
            size = tuple(config.input_size)
            found[f"timm:{name}", size] = Job(
                (name, config.num_classes, size), f"timm:{name}", config.num_classes, size
            )
    return [found[key] for key in sorted(found, key=str)]


Rows = dict[tuple[str, str], dict[str, str]]
"""Rows of the table by builder and input size."""


def annotate(entries: Iterable[Entry], table: Path, progress: Progress) -> dict[str, str]:
    """Add missing rows to the table and rewrite it sorted; existing rows are not computed again.

    An interrupted run continues from the rows in the ``.partial`` file beside the table. Returns the reason for each
    builder that failed.
    """
    unfinished = table.with_suffix(".partial")
    rows = _read(table) | _read(unfinished)
    wanted = jobs(entries)
    missing = [job for job in wanted if not _is_in(rows, job)]
    done = {job.key: parse_computed(rows[_place(job)]) for job in wanted if _place(job) in rows}
    failures: dict[str, str] = {}
    with progress.step("layers and costs of networks", len(missing)) as step, unfinished.open("a") as file:
        writer = csv.DictWriter(file, COMPUTED_COLUMNS, lineterminator="\n")
        for job in missing:
            try:
                found = done[job.key] = done.get(job.key) or _compute(job)
            except AssayError as error:
                failures[job.builder] = str(error)
            else:
                row = _row(job.builder, found)
                rows[job.builder, row["input"]] = row
                writer.writerow(row)
                file.flush()
            step.advance()
    _write(table, rows)
    unfinished.unlink()
    return failures


def _place(job: Job) -> tuple[str, str]:
    return job.builder, size_text(job.input)


def _is_in(rows: Rows, job: Job) -> bool:
    return _place(job) in rows if job.input else any(builder == job.builder for builder, _ in rows)


def _read(path: Path) -> Rows:
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        found = {(row["builder"], row["input"]): row for row in csv.DictReader(file, COMPUTED_COLUMNS)}
    found.pop(("builder", "input"), None)
    return found


def _compute(job: Job) -> Computed:
    """On the meta device; on the CPU for the few networks that make or read values as they go."""
    try:
        return _compute_on("meta", job)
    except LoadError:
        return _compute_on("cpu", job)


def _compute_on(device: str, job: Job) -> Computed:
    module = build_published(job.builder, job.classes, job.input, device)
    size = job.input or own_input(module)
    if size is None:
        raise LoadError(f"{job.builder} does not say which images it takes.")
    return complexity(module, size)


def _row(builder: str, found: Computed) -> dict[str, str]:
    values = {name: str(int(value)) for name, value in found._asdict().items() if name != "input"}
    return {"builder": builder, "input": size_text(found.input), **values}


def _write(table: Path, rows: Rows) -> None:
    temporary = table.with_suffix(".new")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COMPUTED_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows))
    temporary.replace(table)


def size_text(size: Shape | None) -> str:
    """A size as text: ``3x224x224``."""
    return "x".join(map(str, size or ()))
