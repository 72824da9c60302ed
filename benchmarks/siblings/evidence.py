"""The siblings benchmark's finished cells as evidence for the ledger of claims, whole or in part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.analysis.claims.evidence import Evidence, Number, Tables
from assay.analysis.correlation import RESAMPLES, spearman
from assay.base.errors import NothingAssessedError
from assay.base.intervals import bootstrap

NOTHING, CAP = "nothing", 1000
GUIDED = ("p-rgf", "gfcs")
TIMES = "times cheaper"
Cell = dict[str, Any]


def siblings_evidence(folder: Path) -> Evidence:
    """Tables ``pairs`` and ``claims`` (rows TARGET | PRIOR), ``correlations`` of the latter, and ``unpairing``.

    Metrics of a pair: for each attack the median questions and how many times fewer they are than without a prior;
    ``times cheaper`` compares the cheapest attack of all without a prior; and the measures of similarity.

    Raises:
        NothingAssessedError: if no cell is finished.
    """
    files = sorted(folder.glob("*.json"))
    cells: list[Cell] = [json.loads(file.read_text()) for file in files]
    if not cells:
        raise NothingAssessedError(f"{folder} holds no finished cell of the siblings benchmark.")
    tables: Tables = {}
    for part in ("pairs", "claims"):
        tables[part] = _pairs([cell for cell in cells if cell["part"] == part])
    tables["correlations"] = _correlations(tables["claims"])
    tables["unpairing"] = _unpairing([cell for cell in cells if cell["part"] == "unpairing"])
    day = datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC).date()
    return Evidence(
        study="siblings",
        date=day.isoformat(),
        source="benchmarks/siblings/siblings.py",
        configuration=f"CIFAR-10, L2 ball of 0.5, at most {CAP:,} questions an image (a failure counts as that), the "
        "same correctly classified images for all attacks; medians, and ratios of medians with a bootstrap over images",
        tables={name: rows for name, rows in tables.items() if rows},
    )


def _pairs(cells: list[Cell]) -> dict[str, dict[str, Number]]:
    runs = {(cell["target"], cell["prior"], cell["attack"]): cell for cell in cells if "attack" in cell}
    found: dict[str, dict[str, Number]] = {}
    for (target, prior, attack), cell in runs.items():
        row = found.setdefault(f"{target} | {prior}", {})
        row[f"{attack} median"] = _median(_spent(cell))
        row[f"{attack} success"] = Number(value=float(np.mean(cell["success"])), n=len(cell["success"]))
        base = runs.get((target, NOTHING, attack))
        if base is not None and prior != NOTHING:
            row[f"{attack} {TIMES}"] = _ratio([base], [cell])
    for target, prior in {(target, prior) for target, prior, _ in runs if prior != NOTHING}:
        without = [cell for (name, held, _), cell in runs.items() if (name, held) == (target, NOTHING)]
        having = [cell for (name, held, _), cell in runs.items() if (name, held) == (target, prior)]
        if len(without) == 3 and len(having) == 2:
            found[f"{target} | {prior}"][TIMES] = _ratio(without, having)
    for cell in cells:
        if "similarity" in cell:
            row = found.setdefault(f"{cell['target']} | {cell['prior']}", {})
            row |= _similarity(cell)
    return found


def _correlations(rows: Mapping[str, Mapping[str, Number]]) -> dict[str, dict[str, Number]]:
    """Spearman's rho of each measure of similarity with the logarithm of what is saved, over pairs of all targets."""
    names = {name for row in rows.values() for name in row if row and not name.startswith((*GUIDED, "square", TIMES))}
    found: dict[str, dict[str, Number]] = {}
    for name in sorted(names):
        for attack in GUIDED:
            both = {pair: row for pair, row in rows.items() if name in row and f"{attack} {TIMES}" in row}
            x = np.array([row[name].value for row in both.values()])
            y = np.array([np.log(row[f"{attack} {TIMES}"].value) for row in both.values()])
            targets = np.array([pair.partition(" | ")[0] for pair in both])
            if len(x) < 4 or len(set(targets)) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
                continue
            pairs = bootstrap(spearman, x, y, seed=0, resamples=RESAMPLES)
            low, high = over_targets(x, y, targets)
            found.setdefault(name, {})[attack] = Number(
                value=float(spearman(x, y)),
                low=min(low, pairs.low),
                high=max(high, pairs.high),
                n=len(x),
                how=f"the wider of bootstraps over pairs and over {len(set(targets))} targets",
            )
    return found


def over_targets(
    x: NDArray[np.float64], y: NDArray[np.float64], targets: NDArray[np.str_], draws: int = 4000
) -> tuple[float, float]:
    """The 95 % percentile interval of Spearman's rho of pairs (n,), whole targets drawn with their pairs.

    Pairs of one target share the attack without a sibling and the network, so that they are not draws of their own. All
    choices of targets are enumerated where they are no more than ``draws``. Of few targets such an interval is too
    narrow: it sees only what differs between them.
    """
    members = [np.flatnonzero(targets == name) for name in np.unique(targets)]
    count = len(members)
    if count**count <= draws:
        choices = np.array(list(product(range(count), repeat=count)))
    else:
        choices = np.random.default_rng(0).integers(0, count, (draws, count))
    values = []
    for choice in choices:
        rows = np.concatenate([members[number] for number in choice])
        values.append(float(spearman(x[rows], y[rows])))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _unpairing(cells: list[Cell]) -> dict[str, dict[str, Number]]:
    runs = {
        (cell["sibling"], cell.get("attacker", "plain"), cell["attack"]): cell for cell in cells if "attack" in cell
    }
    found: dict[str, dict[str, Number]] = {}
    for cell in cells:
        if "similarity" in cell:
            row = found.setdefault(cell["sibling"], {})
            row |= {"accuracy": Number(value=cell["accuracy"]), **_similarity(cell)}
    paired = found.get("paired", {})
    for name, row in found.items():
        if name != "paired" and {"transfer_to_target"} <= row.keys() & paired.keys():
            row["transfer, relative drop"] = _drop(paired["transfer_to_target"], row["transfer_to_target"])
    for (sibling, attacker, attack), cell in runs.items():
        row = found.setdefault(sibling, {})
        row[f"{attacker} {attack} median"] = _median(_spent(cell))
        base = runs.get(("paired", "plain", attack))
        if base is not None and sibling not in ("paired", NOTHING):
            row[f"{attacker} {attack} times dearer"] = _ratio([cell], [base])
    return found


def _similarity(cell: Cell) -> dict[str, Number]:
    found = {}
    for name, (value, *bounds) in cell["similarity"].items():
        if value is not None:
            low, high = bounds if bounds else (None, None)
            found[name] = Number(value=value, low=low, high=high, how="bootstrap or exact" if bounds else "")
    return found


def _drop(before: Number, after: Number) -> Number:
    """1 - after / before, with the widest interval that both intervals allow."""
    low = 1 - after.high / before.low if after.high is not None and before.low else None
    high = 1 - after.low / before.high if after.low is not None and before.high else None
    return Number(value=1 - after.value / before.value, low=low, high=high, how="from both intervals")


def _spent(cell: Cell) -> dict[int, float]:
    """Questions of every image by its row."""
    counted = zip(cell["rows"], cell["queries"], cell["success"], strict=True)
    return {row: float(queries) if success else CAP for row, queries, success in counted}


def _median(spent: Mapping[int, float]) -> Number:
    values = np.array(list(spent.values()))
    bounds = bootstrap(lambda rows: np.median(rows, axis=-1), values, seed=0)
    return Number(value=float(np.median(values)), low=bounds.low, high=bounds.high, n=len(values), how="bootstrap")


def _ratio(first: list[Cell], second: list[Cell]) -> Number:
    """The median of the cheapest of some attacks over that of others, on the images that all were run on."""
    spent = [_spent(cell) for cell in (*first, *second)]
    rows = sorted(set.intersection(*(set(one) for one in spent)))
    table = np.array([[one[row] for one in spent] for row in rows])

    def ratio(values: NDArray[np.float64]) -> NDArray[np.float64]:
        medians = np.median(values, axis=-2)
        return np.asarray(medians[..., : len(first)].min(-1) / medians[..., len(first) :].min(-1))

    bounds = bootstrap(ratio, table, seed=0)
    return Number(value=float(ratio(table)), low=bounds.low, high=bounds.high, n=len(rows), how="bootstrap")
