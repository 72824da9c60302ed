"""How much `stealing.best` steals with 2,500 questions, by what the thief has in hand.

    ASSAY_DATA=... ASSAY_MIRROR=... python -m benchmarks.stealing.thief WORKSPACE [--start START ...] [--target ID ...]

Starts: ``public`` (the catalogue's other networks of the task; questions from the training pool), ``scratch`` (random
weights, same questions), and both with questions from Caltech-101 (``public-caltech``, ``scratch-caltech``). Finished
cells are kept in the workspace: interrupt it at will, it goes on where it was. One thread. CPU seconds are those of the
method, judging included. A table of all finished cells is printed in the end.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

import assay
from assay.base.errors import AssayError
from assay.base.files import write_text
from assay.base.progress import on_console
from assay.studies import Outcome, Trial, Workspace, make_method, run_trials
from benchmarks.stealing.study import caltech

TARGETS = (
    "akamaster/cifar10-resnet20",
    "akamaster/cifar10-resnet56",
    "hyperparticle/cifar10-resnet32",
    "yizeng623/cifar10-cnn6",
    "abcrown/cifar10-conv-small-pgd",
)
"""The first is the one that `stealing.best` is developed on; on the others nothing is chosen."""

TUNING = "mlcommons/cifar10-resnet8"
"""What options of the public start are looked at on."""

STARTS: dict[str, dict[str, Any]] = {
    "public": {},
    "public-caltech": {},
    "scratch": {"public_networks": 0},
    "scratch-caltech": {"public_networks": 0},
}


class Cell(NamedTuple):
    """One theft."""

    target: str
    start: str
    trial: Trial


def cells(targets: list[str], starts: list[str]) -> Iterator[Cell]:
    """The thefts, each target opened once."""
    for name in targets:
        target = assay.load_target(name)
        for start in starts:
            splits = target.splits
            opened = target.with_splits(splits._replace(auxiliary=caltech())) if "caltech" in start else target
            method = make_method("stealing.best", None, {"budget": 2_500, **STARTS[start]})
            yield Cell(name, start, Trial(opened, method, assay.Serving(), 0))


def run(cell: Cell, workspace: Workspace) -> None:
    """Run a cell if it is not finished, and note its CPU seconds."""
    if workspace.load(cell.trial.key) is not None:
        return
    before = time.process_time()
    run_trials([cell.trial], workspace, on_console())
    spent = {"cpu_seconds": round(time.process_time() - before)}
    write_text(_noted(cell, workspace), json.dumps(spent) + "\n")


def row(cell: Cell, outcome: Outcome, workspace: Workspace) -> str:
    """A line of the table, in Markdown."""
    noted = _noted(cell, workspace)
    seconds = json.loads(noted.read_text())["cpu_seconds"] if noted.is_file() else ""
    shown = [_shown(outcome, name) for name in ("agreement", "public_agreement", "bought")]
    return f"| {cell.target} | {cell.start} | {' | '.join(shown)} | {seconds} |"


def _noted(cell: Cell, workspace: Workspace) -> Path:
    return workspace.path / "cpu" / f"{cell.trial.key}.json"


def _shown(outcome: Outcome, name: str) -> str:
    metric = next((each for each in outcome.metrics if each.name == name), None)
    if metric is None or metric.value is None or metric.interval is None:
        return ""
    return f"{100 * metric.value:.1f} ({100 * metric.interval.low:.1f} to {100 * metric.interval.high:.1f})"


def main() -> None:
    """Run what is not finished, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--start", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--target", nargs="+", default=list(TARGETS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    workspace = Workspace(options.workspace)
    (workspace.path / "cpu").mkdir(parents=True, exist_ok=True)
    lines = []
    for cell in cells(options.target, options.start):
        try:
            run(cell, workspace)
        except AssayError as error:
            print(f"{cell.target}, {cell.start}: {error}")
        outcome = workspace.load(cell.trial.key)
        if outcome is not None and outcome.status == "done":
            lines.append(row(cell, outcome, workspace))
            print(lines[-1], flush=True)
    print(
        "| target | start | agreement, % | before any question, % | bought, points | CPU s |\n|---|---|---|---|---|---|"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
