"""Print the tables of the stealing study as Markdown, each with its paper's claim, its rule and its verdict.

    ASSAY_DATA=... ASSAY_MIRROR=... python -m benchmarks.stealing.tables WORKSPACE [TABLE ...]
    python -m benchmarks.stealing.tables WORKSPACE --evidence FILE

The second writes what is finished for the ledger of claims, and opens neither data nor networks.

Means over three seeds stand with 95 % t-intervals over the seeds (two degrees of freedom: they are wide). Differences
are taken seed by seed, on the same test images. A claim of a difference is reproduced where its interval lies on the
claimed side of 0, contradicted where it lies on the other, and open where it holds 0. A claim that there is no
difference is reproduced where the interval lies within 5 points of 0, contradicted where it lies beyond, and else open.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from assay.analysis.claims.evidence import write_evidence
from assay.analysis.correlation import correlate
from assay.studies import Outcome, Workspace
from benchmarks.stealing.evidence import stealing_evidence
from benchmarks.stealing.study import BUDGETS, TABLES, Cell, cells, finished, value

Done = list[tuple[Cell, Outcome]]
Values = NDArray[np.float64]


def over_seeds(values: Sequence[float] | Values) -> tuple[float, float]:
    """Mean and half the width of its 95 % t-interval (NaN with one value)."""
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return float(array.mean()), float("nan")
    half = student.ppf(0.975, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array))
    return float(array.mean()), float(half)


def shown(values: Sequence[float] | Values, scale: float = 100.0) -> str:
    """Mean and interval, in percent or points."""
    mean, half = over_seeds(values)
    return f"{scale * mean:.1f} ± {scale * half:.1f}" if np.isfinite(half) else f"{scale * mean:.1f}"


def verdict(differences: Sequence[float] | Values, claimed: int) -> str:
    """What a paired difference says of a claim that it is above (1) or below (-1) 0."""
    mean, half = over_seeds(differences)
    if claimed * mean > half:
        return "reproduced"
    return "contradicted" if -claimed * mean > half else "open"


ALIKE = 0.05
"""Differences of agreement that count as none."""


def alike(differences: Sequence[float] | Values) -> str:
    """What a paired difference says of a claim that there is none."""
    mean, half = over_seeds(differences)
    if abs(mean) + half <= ALIKE:
        return "reproduced"
    return "contradicted" if abs(mean) - half > ALIKE else "open"


class Group:
    """The outcomes of a table by row, pool and seed."""

    def __init__(self, done: Done) -> None:
        self.cells: dict[tuple[str, str], dict[int, Outcome]] = defaultdict(dict)
        for cell, outcome in done:
            self.cells[cell.pool, cell.row][cell.seed] = outcome

    def values(self, pool: str, row: str, name: str) -> Values:
        """A metric by seed."""
        seeds = self.cells.get((pool, row), {})
        return np.array([value(seeds[seed], name) for seed in sorted(seeds)])

    def difference(self, pool: str, row: str, base: str, name: str = "agreement") -> Values:
        """A metric less that of another row, by seed."""
        ours, theirs = self.values(pool, row, name), self.values(pool, base, name)
        count = min(len(ours), len(theirs))
        return ours[:count] - theirs[:count]

    def rows(self, pool: str) -> list[str]:
        """The rows there are, in their order."""
        return [row for place, row in self.cells if place == pool]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One Markdown table."""
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def curves(group: Group, base: str) -> None:
    """Agreement by budget for every row, by pool, and the difference from a row at the end."""
    for pool, budgets in (("partial", BUDGETS), ("caltech", (1_000, 2_500, 5_000, 7_500))):
        rows = []
        for row in group.rows(pool):
            names = [f"agreement_at_{budget}" for budget in budgets[:-1]] + ["agreement"]
            difference = group.difference(pool, row, base)
            rows.append([row, *(shown(group.values(pool, row, name)) for name in names)])
            rows[-1].append("" if row == base else shown(difference))
        if rows:
            print(f"Pool: {pool}\n")
            table(["", *(f"{budget:,}" for budget in budgets), f"less {base}"], rows)


def strategies(group: Group) -> None:
    """Strategies and learners."""
    base = "random + soft"
    curves(group, base)
    print("Adversarial fidelity (500 test images)\n")
    names = (
        "agreement",
        "adversarial_fidelity_flipped",
        "adversarial_fidelity_flipped_hard",
        "adversarial_agreement_fgsm",
    )
    rows = [row for row in group.rows("partial") if row.startswith("random")]
    table(["", *names], [[row, *(shown(group.values("partial", row, name)) for name in names)] for row in rows])
    for claim, row, name, side in (
        ("A6: k-center is worse than random", "k-center + soft", "agreement", -1),
        ("A6: entropy is better than random (4 of 6)", "entropy + soft", "agreement", 1),
        ("B5: semi-supervised learning raises fidelity (MixMatch)", "random + mixmatch", "agreement", 1),
        ("B5: semi-supervised learning raises fidelity (FixMatch)", "random + fixmatch", "agreement", 1),
        ("B5: it lowers adversarial fidelity (MixMatch)", "random + mixmatch", names[1], -1),
        ("B5: it lowers adversarial fidelity (FixMatch)", "random + fixmatch", names[1], -1),
    ):
        for pool in ("partial", "caltech"):
            said(claim, pool, group.difference(pool, row, base, name), side)
    partial, caltech = (
        group.values("partial", base, "agreement_at_5000"),
        group.values("caltech", base, "agreement_at_5000"),
    )
    count = min(len(partial), len(caltech))
    said("D4: out-of-distribution questions steal less", "5,000", caltech[:count] - partial[:count], -1)


def said(claim: str, where: str, differences: Values, side: int) -> None:
    """One claim with its difference and verdict; ``side`` 0 claims that there is none."""
    if len(differences) > 1:
        found = verdict(differences, side) if side else alike(differences)
        print(f"- {claim} ({where}): {shown(differences)} points, {found}.")


def flat(group: Group, base: str) -> None:
    """Agreement and accuracy at one budget."""
    rows = [
        [
            row,
            shown(group.values("partial", row, "agreement")),
            shown(group.values("partial", row, "surrogate_accuracy")),
            "" if row == base else shown(group.difference("partial", row, base)),
        ]
        for row in group.rows("partial")
    ]
    table(["", "agreement", "accuracy", f"less {base}"], rows)


def answers(group: Group) -> None:
    """What is answered."""
    flat(group, "posteriors")
    said(
        "B6: six levels cost the thief little",
        "5,000",
        group.difference("partial", group.rows("partial")[2], "posteriors"),
        -1,
    )


def optimisers(group: Group) -> None:
    """Optimisers at tuned rates."""
    rows = group.rows("partial")
    flat(group, rows[2])
    for row in rows[:2]:
        said(f"B2: SGD lags behind Adam ({row})", "5,000", group.difference("partial", row, rows[2]), -1)
    said("B2: Lion is like Adam", "5,000", group.difference("partial", rows[4], rows[2]), 0)


def sizes(group: Group) -> None:
    """Surrogates by size."""
    rows = group.rows("partial")
    flat(group, rows[0])
    said("D5/T2: the largest is worse, trained equally", "2,500", group.difference("partial", rows[4], rows[0]), -1)
    said("D5/T2: the largest is worse, trained longer", "2,500", group.difference("partial", rows[5], rows[1]), -1)


def starts(group: Group) -> None:
    """Pre-training."""
    curves(group, "random")
    for row in ("supervised", "rotation"):
        for name in ("agreement_at_1000", "agreement"):
            difference = group.difference("partial", row, "random", name)
            said(f"T3: pre-training helps ({row}, {name})", "partial", difference, 1)


def targets(done: Done) -> None:
    """Target accuracy against agreement, by surrogate and answers: one point a target, the mean of its seeds."""
    points: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for cell, outcome in done:
        points[cell.row][cell.target].append(outcome)
    rows = []
    for row, by_target in points.items():
        x = np.array([value(seeds[0], "target_accuracy") for seeds in by_target.values()])
        y = np.array([np.mean([value(one, "agreement") for one in seeds]) for seeds in by_target.values()])
        r = correlate(x, y)
        rows.append(
            [row, str(len(x)), f"{r.r:.2f} [{r.interval.low:.2f}, {r.interval.high:.2f}]", f"{100 * y.mean():.1f}"]
        )
    table(["surrogate, answers", "targets", "r(target accuracy, agreement)", "mean agreement"], rows)


def foundation(done: Done) -> None:
    """Victims by thieves."""
    group: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    accuracy: dict[str, float] = {}
    for cell, outcome in done:
        group[cell.row][cell.target].append(value(outcome, "agreement"))
        accuracy[cell.target] = value(outcome, "target_accuracy")
    victims = list(accuracy)
    table(
        ["thief", *(name.partition(":")[2] for name in victims)],
        [
            ["(accuracy of the victim)", *(f"{100 * accuracy[name]:.1f}" for name in victims)],
            *([row, *(shown(found[name]) for name in victims)] for row, found in group.items()),
        ],
    )


def best(done: Done) -> None:
    """Held-out targets, with the 95 % interval over test images."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for cell, outcome in done:
        agreed = next(metric for metric in outcome.metrics if metric.name == "agreement")
        assert agreed.value is not None
        assert agreed.interval is not None
        bounds = f"{100 * agreed.interval.low:.1f} to {100 * agreed.interval.high:.1f}"
        found[cell.target][cell.row] = f"{100 * agreed.value:.1f} ({bounds})"
    table(["target", *next(iter(found.values()))], [[name, *row.values()] for name, row in found.items()])


def main() -> None:
    """Print what is finished, or write it as evidence."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("tables", nargs="*")
    parser.add_argument("--evidence", type=Path)
    options = parser.parse_args()
    workspace = Workspace(options.workspace)
    if options.evidence:
        write_evidence(options.evidence, stealing_evidence(workspace))
        return
    for name in options.tables or TABLES:
        done = finished(cells(name, workspace), workspace)
        if not done:
            continue
        print(f"\n## {name}\n")
        if name in ("targets", "foundation", "best"):
            {"targets": targets, "foundation": foundation, "best": best}[name](done)
        else:
            {"strategies": strategies, "answers": answers, "optimisers": optimisers, "sizes": sizes, "starts": starts}[
                name
            ](Group(done))


if __name__ == "__main__":
    main()
