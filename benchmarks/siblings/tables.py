"""The siblings benchmark's finished cells as the tables of docs/siblings.md; `siblings.py report` prints them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from assay.base.intervals import bootstrap
from benchmarks.siblings.evidence import CAP, NOTHING, Cell


def spent(cell: Cell) -> NDArray[np.float64]:
    """Questions image by image; a failure counts as the cap."""
    return np.where(cell["success"], cell["queries"], CAP)


def _median(cell: Cell) -> str:
    counted = spent(cell)
    bounds = bootstrap(lambda rows: np.median(rows, axis=-1), counted, seed=0)
    median = f"{np.median(counted):g} ({bounds.low:g} to {bounds.high:g})"
    return f"{np.mean(cell['success']):.3f} | {median} | {counted.mean():.0f}"


def _ratio(first: Cell, second: Cell) -> str:
    pair = spent(first), spent(second)
    bounds = bootstrap(lambda a, b: np.median(a, axis=-1) / np.median(b, axis=-1), *pair, seed=0)
    return f"{np.median(pair[0]) / np.median(pair[1]):.1f} ({bounds.low:.1f} to {bounds.high:.1f})"


def report(folder: Path) -> None:
    """All tables, as Markdown."""
    read = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    for part in ("pairs", "claims"):
        found = [cell for cell in read if cell["part"] == part]
        runs = {(cell["target"], cell["prior"], cell["attack"]): cell for cell in found if "attack" in cell}
        print(f"\n## {part}\n\n| target | prior | attack | success | median | mean | times cheaper |")
        print("|---|---|---|---|---|---|---|")
        for (target, prior, attack), cell in runs.items():
            base = runs.get((target, NOTHING, attack))
            saved = _ratio(base, cell) if base is not None else ""
            print(f"| {target} | {prior} | {attack} | {_median(cell)} | {saved} |")
    both = [cell for cell in read if cell["part"] in ("pairs", "claims")]
    measures = {(cell["target"], cell["prior"]): cell["similarity"] for cell in both if "similarity" in cell}
    runs = {(cell["target"], cell["prior"], cell["attack"]): cell for cell in both if "attack" in cell}
    if len(measures) > 3:
        _correlations(measures, runs)
    _unpairing_table([cell for cell in read if cell["part"] == "unpairing"])


def _correlations(measures: dict[Any, Any], runs: dict[Any, Any]) -> None:
    """Spearman's rank correlation of each measure with the logarithm of what is saved, with a bootstrap interval."""
    print("\n| measure | attack | pairs | rank correlation |\n|---|---|---|---|")
    for name in next(iter(measures.values())):
        for attack in ("p-rgf", "gfcs"):
            rows = [
                (found[name][0], np.log(np.median(spent(runs[target, NOTHING, attack])) / np.median(spent(cell))))
                for (target, prior), found in measures.items()
                if found[name][0] is not None
                and (cell := runs.get((target, prior, attack))) is not None
                and (target, NOTHING, attack) in runs
            ]
            if len(rows) < 4:
                continue
            pairs = np.array(rows)
            draws = np.random.default_rng(0).integers(0, len(pairs), (2000, len(pairs)))
            values = [spearmanr(*pairs[draw].T).statistic for draw in draws if len(np.unique(pairs[draw][:, 0])) > 2]
            low, high = np.nanquantile(values, [0.025, 0.975])
            value = spearmanr(*pairs.T).statistic
            print(f"| {name} | {attack} | {len(pairs)} | {value:.2f} ({low:.2f} to {high:.2f}) |")


def _unpairing_table(found: list[Cell]) -> None:
    print("\n## unpairing\n\n| sibling | attacker | attack | success | median | mean |\n|---|---|---|---|---|---|")
    for cell in found:
        if "attack" in cell:
            print(f"| {cell['sibling']} | {cell.get('attacker', '-')} | {cell['attack']} | {_median(cell)} |")
    print("\n| sibling | accuracy | gradient cosine | transfer to the model |\n|---|---|---|---|")
    for cell in found:
        if "similarity" in cell:
            cosine, transfer = (cell["similarity"][name][0] for name in ("gradient_cosine", "transfer_to_target"))
            print(f"| {cell['sibling']} | {cell['accuracy']:.4f} | {cosine:.3f} | {transfer:.3f} |")
