"""The stealing study's finished trials as evidence for the ledger of claims, whole or in part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from assay.analysis.claims.evidence import Evidence, Number, Tables, over_seeds
from assay.base.digests import canonical_json
from assay.base.errors import NothingAssessedError
from assay.studies import Outcome, Workspace, make_method
from benchmarks.stealing.study import (
    Cell,
    answers,
    best,
    foundation,
    optimisers,
    pretrained_folders,
    sizes,
    starts,
    strategies,
    targets,
    tuning,
)


def stealing_evidence(workspace: Workspace) -> Evidence:
    """Every table with the cells that are finished; seeds of a row together.

    A trial is recognised by its target, questions, options, answers and seed, not by its key: no network or data set
    is opened, and a workspace may have been moved.

    Raises:
        NothingAssessedError: if no trial of the study is finished.
    """
    done = {_of_outcome(one): one for one in workspace.outcomes() if one.status == "done"}
    found: dict[str, dict[str, dict[int, Outcome]]] = defaultdict(lambda: defaultdict(dict))
    for cell in _cells(workspace.path, done):
        outcome = done.get(_of_cell(cell))
        if outcome is not None:
            table, row = _place(cell)
            found[table][row][cell.seed] = outcome
    if not found:
        raise NothingAssessedError(f"{workspace.path} holds no finished trial of the stealing study.")
    tables: Tables = {
        name: {row: _numbers(list(seeds.values())) for row, seeds in rows.items()} for name, rows in found.items()
    }
    if "foundation" in found:
        tables["foundation"] = _grid(found["foundation"])
    started = max(one.started for rows in found.values() for seeds in rows.values() for one in seeds.values())
    return Evidence(
        study="stealing",
        date=started.date().isoformat(),
        source="benchmarks/stealing/study.py",
        configuration="Public CIFAR-10 targets, 1,000 test images; surrogate tiny-cnn at 16 pixels, 12 epochs, unless "
        "a table varies it; questions from the training images, or Caltech-101 where a table says so",
        tables=tables,
    )


def _cells(folder: Path, done: dict[str, Outcome]) -> Iterator[Cell]:
    folders = pretrained_folders(folder)
    for part in (
        strategies(),
        answers(),
        sizes(),
        starts(folders),
        targets(folders["supervised"]),
        foundation(),
        best(),
    ):
        yield from part
    tuned = [(cell, done[_of_cell(cell)]) for cell in tuning() if _of_cell(cell) in done]
    if len(tuned) == len(list(tuning())):
        yield from optimisers(tuned)


def _place(cell: Cell) -> tuple[str, str]:
    """Table and row. Where each target has a row of its own, what varies besides is part of the table's name."""
    if cell.table == "targets":
        return f"targets, {cell.row}", cell.target
    if cell.table in ("foundation", "best"):
        return cell.table, f"{cell.target.partition(':')[2] or cell.target}: {cell.row}"
    table = cell.table if cell.pool == "partial" else f"{cell.table}, {cell.pool}"
    return table, cell.row.partition(" (")[0] if cell.table == "optimisers" else cell.row


def _numbers(outcomes: list[Outcome]) -> dict[str, Number]:
    """Metrics that all seeds have: over seeds; or, of one seed, with the interval over test images."""
    numbers = {}
    for metric in outcomes[0].metrics:
        values = [one.value for outcome in outcomes for one in outcome.metrics if one.name == metric.name]
        known = [value for value in values if value is not None]
        if len(known) < len(outcomes) or metric.name in ("price", "queries"):
            continue
        if len(known) > 1:
            numbers[metric.name] = Number(**over_seeds(known))
        else:
            bounds = metric.interval
            between = {"low": bounds.low, "high": bounds.high, "how": bounds.method} if bounds else {}
            numbers[metric.name] = Number(value=known[0], n=metric.n, **between)
    return numbers


def _grid(rows: dict[str, dict[int, Outcome]]) -> dict[str, dict[str, Number]]:
    """Thieves in rows, victims in columns, and a row of the victims' accuracy."""
    grid: dict[str, dict[str, Number]] = {"victim accuracy": {}}
    for name, seeds in rows.items():
        victim, _, thief = name.partition(": ")
        numbers = _numbers(list(seeds.values()))
        grid.setdefault(thief, {})[victim] = numbers["agreement"]
        grid["victim accuracy"][victim] = Number(value=numbers["target_accuracy"].value, n=1000)
    return grid


def _of_cell(cell: Cell) -> str:
    name = {"best 2500": "stealing.best"}.get(cell.row, "stealing.basic") if cell.table == "best" else "stealing.theft"
    options = make_method(name, None, cell.options).model_dump(mode="json")
    target = cell.target.partition(":")[2] if cell.target.startswith("victim:") else cell.target
    return _signature(target, cell.pool == "caltech", name, options, cell.output, cell.policies, cell.seed)


def _of_outcome(outcome: Outcome) -> str:
    asked = outcome.target.data["auxiliary"].name.lower()
    served = outcome.serving
    method = outcome.method
    return _signature(
        outcome.target.name,
        "caltech" in asked,
        method.name,
        method.options,
        served["output"],
        served["policies"],
        outcome.seed,
    )


@cache
def _varied() -> frozenset[str]:
    """The options that the study sets: others, of a later version of the method too, stand at their defaults."""
    parts = (strategies(), answers(), sizes(), targets(Path("supervised")), foundation(), best(), tuning())
    return frozenset(name for part in parts for cell in part for name in cell.options)


def _signature(
    target: str, caltech: bool, method: str, options: dict[str, Any], output: str, policies: Iterable[str], seed: int
) -> str:
    start = options.get("initialisation")
    named = {name: value for name, value in options.items() if name in _varied()}
    if isinstance(start, str):
        named["initialisation"] = Path(start).name
    return canonical_json([target, caltech, method, named, output, list(policies), seed])
