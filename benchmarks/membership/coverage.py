"""How often the interval of a true-positive rate at a low false-positive rate holds the truth, and when a leak is low.

    python -m benchmarks.membership.coverage

First table: coverage of `roc.tpr_bounds` over 1,000 repetitions, for a null and four leaks, by numbers of samples. The
scores themselves need not be drawn: only three order statistics of the non-members count, and between them members
fall as multinomial numbers, which is exact for continuous scores. Beside it, the coverage of Clopper and Pearson's
interval at the threshold that was found, which takes that threshold as given. Second table: the share of targets that
are judged low (`verdict`), by numbers of samples, of scores that say nothing and of scores at the bounds where low
ends. About a minute of one core.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from assay.base.intervals import Floats, clopper_pearson
from assay.methods.membership.results import auc_metric
from assay.methods.membership.roc import allowed_between, combined
from assay.methods.membership.verdict import verdict

Curve = Callable[[Floats], Floats]
"""From false-positive rates to the true-positive rates of all members there could be."""

CURVES: dict[str, Curve] = {
    "null": lambda rate: rate,
    "weak": lambda rate: np.asarray(ndtr(0.3 + ndtri(rate))),
    "strong": lambda rate: np.asarray(ndtr(1.5 + ndtri(rate))),
    "few exposed": lambda rate: 0.03 + 0.97 * rate,
    "steep": lambda rate: rate**0.3,
}
"""Guessing; normal scores 0.3 and 1.5 deviations apart; 3 % of the members surely found; an infinite slope at 0."""

SIZES = ((1_000, 1_000), (5_000, 1_000), (10_000, 1_000), (1_000, 10_000), (5_000, 5_000), (25_000, 25_000))
RATES = (0.05, 0.01, 0.001, 0.0001)
REPETITIONS = 1_000


class Covered(NamedTuple):
    """Shares of repetitions: the truth in the interval, below it, above it; in the interval at the found threshold."""

    held: float
    below: float
    above: float
    given: float


def coverage(
    curve: Curve, members: int, non_members: int, rate: float, generator: np.random.Generator, repetitions: int
) -> Covered:
    """Coverage of the interval of a true-positive rate, for continuous scores with a known curve."""
    truth = float(curve(np.array(rate)))
    low, high = allowed_between(non_members, rate)
    allowed = int(np.floor(rate * non_members * (1 + 1e-12)))
    found = drawn(curve, members, non_members, (low, allowed + 1, high + 1), generator, repetitions)
    bounds = [combined(row, members) for row in found.tolist()]
    given = [clopper_pearson(row[1], members) for row in found.tolist()]
    below = float(np.mean([truth < bound.low for bound in bounds]))
    above = float(np.mean([truth > bound.high for bound in bounds]))
    held = float(np.mean([bound.low <= truth <= bound.high for bound in given]))
    return Covered(1 - below - above, below, above, held)


def drawn(
    curve: Curve,
    members: int,
    non_members: int,
    places: tuple[int, int, int],
    generator: np.random.Generator,
    repetitions: int,
) -> Floats:
    """Members above the non-members of three places, counted from the highest (0: above all), (repetitions, 3)."""
    steps = np.diff((0, *places, non_members + 1))
    waits = np.stack([generator.gamma(step, size=repetitions) if step else np.zeros(repetitions) for step in steps])
    rates = (waits.cumsum(axis=0) / waits.sum(axis=0))[:3]
    above = np.where(rates > 0, curve(np.maximum(rates, 1e-300)), 0.0)
    shares = np.diff(np.vstack([np.zeros(repetitions), above, np.ones(repetitions)]), axis=0).clip(0)
    counts = generator.multinomial(members, (shares / shares.sum(axis=0)).T)
    return np.asarray(counts.cumsum(axis=1)[:, :3], dtype=np.float64)


def judged_low(shift: float, exposed: float, size: int, generator: np.random.Generator, repetitions: int) -> float:
    """The share of targets that are low, of normal scores ``shift`` apart, with a share of members far above all."""
    low = 0
    for _ in range(repetitions):
        members, non_members = generator.normal(shift, 1, size), generator.normal(0, 1, size)
        members[: round(exposed * size)] += 20
        low += verdict(auc_metric("loss", (members, non_members)), (members, non_members)).level == "low"
    return low / repetitions


def main() -> None:
    """Print both tables."""
    generator = np.random.default_rng(0)
    print(f"| members + non-members | at FPR | {' | '.join(CURVES)} |")
    print("| --- | ---: |" + " ---: |" * len(CURVES))
    for members, non_members in SIZES:
        for rate in RATES:
            if rate * non_members < 1 - 1e-9:
                continue
            cells = []
            for curve in CURVES.values():
                found = coverage(curve, members, non_members, rate, generator, REPETITIONS)
                cells.append(f"{found.held:.3f} ({found.given:.3f})")
            print(f"| {members:,} + {non_members:,} | {100 * rate:g} % | {' | '.join(cells)} |", flush=True)
    print("\n| members + non-members | says nothing | AUC at its bound | TPR at its bound |")
    print("| --- | ---: | ---: | ---: |")
    for size in (500, 1_000, 2_000, 5_000, 10_000):
        cells = []
        for shift, exposed in ((0.0, 0.0), (0.1777, 0.0), (0.0, 0.0101)):
            cells.append(f"{judged_low(shift, exposed, size, generator, 400):.3f}")
        print(f"| {size:,} + {size:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
