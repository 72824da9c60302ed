"""SecurityNet's findings (USENIX Security 2024, section 4), recomputed from its released table.

The released table has 263 of the paper's 389 benchmark models, and 174 medical ones that the paper does not discuss:
exact reproduction is impossible, and the question is whether the released part agrees with the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from assay.analysis.correlation import (
    Correlation,
    Without,
    benjamini_hochberg,
    correlate,
    holm,
    partial,
    without_lowest,
)
from assay.base.intervals import Bounds, Floats, bootstrap, clopper_pearson
from assay.catalogue.importers.securitynet import Row, Tables
from assay.catalogue.names import dataset_name

STUDIED = ("cifar10", "svhn", "imagenet-1k", "cifar100", "cub200")
TITLES = {"cifar10": "CIFAR-10", "svhn": "SVHN", "imagenet-1k": "ImageNet-1k", "cifar100": "CIFAR-100", "cub200": "CUB"}
Verdict = Literal["within the interval", "same sign", "other sign", "further off", "not in the paper", "not testable"]


class Quantity(NamedTuple):
    """One number of the paper beside the recomputed one.

    ``claim`` is the claim's number (D1 to D20). ``value`` is None where the released table cannot tell; ``note`` says
    why. ``holm`` and ``bh`` are p-values adjusted over all correlations of the analysis.
    """

    claim: str
    label: str
    paper: float | None
    value: float | None
    interval: Bounds | None = None
    n: int | None = None
    rho: float | None = None
    p: float | None = None
    holm: float | None = None
    bh: float | None = None
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """How the paper's number stands to the recomputed one."""
        if self.value is None:
            return "not testable"
        if self.paper is None:
            return "not in the paper"
        if self.interval and self.interval.low <= self.paper <= self.interval.high:
            return "within the interval"
        if self.p is not None:
            return "same sign" if self.paper * self.value > 0 else "other sign"
        return "further off"


class Analysis(NamedTuple):
    """All quantities, in the order of their claims, and the leverage of the weakest victims by data set."""

    quantities: list[Quantity]
    leverage: dict[str, list[Without]]


def analyse(tables: Tables, seed: int = 0) -> Analysis:
    """Recomputes every claim that the released table allows."""
    table = _Table(tables, seed)
    found = [
        quantity for part in (table.stealing, table.surrogates, table.membership, table.security) for quantity in part()
    ]
    found += [*table.publication(), *NOT_TESTABLE]
    found.sort(key=lambda quantity: int("".join(filter(str.isdigit, quantity.claim))))
    asked = [i for i, quantity in enumerate(found) if quantity.p is not None]
    p_values = [found[i].p or 0.0 for i in asked]
    for i, strict, mild in zip(asked, holm(p_values), benjamini_hochberg(p_values), strict=True):
        found[i] = found[i]._replace(holm=float(strict), bh=float(mild))
    return Analysis(found, {name: table.leverage(name) for name in ("cifar10", "svhn", "cifar100")})


NOT_TESTABLE = (
    Quantity("D7", "attack accuracy of RegNetY-320, ImageNet-1k", 0.256, None, note="its row was not released"),
    Quantity("D13", "r(attack, task accuracy), high-performing security models", -0.362, None, note="no rows released"),
    Quantity("D16", "false positives of Neural Cleanse on clean models", 0.209, None, note="no columns released"),
    Quantity(
        "D20", "r(accuracy drop under FGSM, task accuracy), ImageNet-1k", -0.491, None, note="no columns released"
    ),
)


class _Table:
    def __init__(self, tables: Tables, seed: int) -> None:
        self.rows = [row for row in tables.benchmark if dataset(row) in STUDIED]
        self.medical = [row for row in tables.benchmark if dataset(row) not in STUDIED]
        self.hardened = tables.security
        self.seed = seed

    def of(self, *names: str) -> list[Row]:
        return [row for row in self.rows if dataset(row) in names]

    def r(self, claim: str, label: str, paper: float | None, rows: Iterable[Row], x: str, y: str) -> Quantity:
        """Pearson's r of two numbers over the rows that have both."""
        one, other = self.columns(rows, x, y)
        return _quantity(claim, label, paper, correlate(one, other))

    def mean(self, claim: str, label: str, paper: float | None, rows: Iterable[Row], x: str) -> Quantity:
        values = np.array([row.numbers[x] for row in rows if x in row.numbers])
        return self.statistic(claim, label, paper, lambda v: v.mean(-1), values)

    def statistic(
        self, claim: str, label: str, paper: float | None, of: Callable[..., Floats], *columns: Floats
    ) -> Quantity:
        """Any vectorised statistic of columns (n,), with its bootstrap interval."""
        bounds = bootstrap(of, *columns, seed=self.seed, resamples=10_000)
        return Quantity(claim, label, paper, float(of(*columns)), bounds, len(columns[0]))

    def share(self, claim: str, label: str, rows: Iterable[Row], holds: Callable[[Row], bool]) -> Quantity:
        answers = [holds(row) for row in rows]
        count, n = sum(answers), len(answers)
        return Quantity(claim, label, None, count / n, clopper_pearson(count, n), n, note=f"{count} of {n}")

    def stealing(self) -> list[Quantity]:
        found = [
            self.r(
                "D1", "r(agreement, attack accuracy), five data sets", 0.991, self.rows, "agreement", "attack_accuracy"
            ),
            self.r(
                "D1", "... with the medical models", None, [*self.rows, *self.medical], "agreement", "attack_accuracy"
            ),
            self.r("D1", "... medical models alone", None, self.medical, "agreement", "attack_accuracy"),
        ]
        found += [
            self.r("D1", f"... {TITLES[name]}", None, self.of(name), "agreement", "attack_accuracy") for name in STUDIED
        ]
        papers = {"cifar10": -0.693, "svhn": -0.603, "imagenet-1k": -0.844, "cifar100": -0.873}
        for letter, name in zip("abcde", STUDIED, strict=True):
            label = f"r(attack, task accuracy), {TITLES[name]}"
            found.append(self.r(f"D2{letter}", label, papers.get(name), self.of(name), "attack_accuracy", "accuracy"))
        imagenet = self.of("imagenet-1k")
        stolen = [row for row in imagenet if row.texts["Model Name"] != "resnesta152"]
        found.append(self.r("D2c", "... without resnesta152", None, stolen, "attack_accuracy", "accuracy"))
        for floor in (0.5, 0.6):
            able = [row for row in stolen if row.numbers["accuracy"] > floor]
            found.append(
                self.r("D2c", f"... and task accuracy over {floor}", None, able, "attack_accuracy", "accuracy")
            )
        ratios = {"imagenet-1k": 0.363 / 0.731, "cifar10": 0.796, "svhn": 0.953}
        for letter, name in zip("abcde", ("imagenet-1k", "cifar10", "svhn", "cifar100", "cub200"), strict=True):
            attack, task = self.columns(self.of(name), "attack_accuracy", "accuracy")
            label = f"mean attack over mean task accuracy, {TITLES[name]}"
            found.append(self.statistic(f"D3{letter}", label, ratios.get(name), _ratio, attack, task))
        found.append(self.mean("D3a", "mean attack accuracy, ImageNet-1k", 0.363, imagenet, "attack_accuracy"))
        found.append(self.mean("D3a", "mean task accuracy, ImageNet-1k", 0.731, imagenet, "accuracy"))
        worst = min(imagenet, key=lambda row: row.numbers["attack_accuracy"])
        value, name = worst.numbers["attack_accuracy"], worst.texts["Model Name"]
        found.append(
            Quantity("D7", "lowest attack accuracy released, ImageNet-1k", None, value, n=len(imagenet), note=name)
        )
        best = [row for row in imagenet if row.numbers["accuracy"] > 0.75]
        label = "attack accuracy at most 0.4, ImageNet-1k models over 0.75"
        found.append(self.share("D6", label, best, lambda row: row.numbers["attack_accuracy"] <= 0.4))
        found.append(self.mean("D17", "mean task accuracy, CIFAR-100", 0.785, self.of("cifar100"), "accuracy"))
        return found

    def columns(self, rows: Iterable[Row], *names: str) -> tuple[Floats, ...]:
        """Numbers of the rows that have all of them, one array a name."""
        kept = [row.numbers for row in rows if all(name in row.numbers for name in names)]
        return tuple(np.array([numbers[name] for numbers in kept]) for name in names)

    def surrogates(self) -> list[Quantity]:
        """Other query images, and a larger surrogate: the paper's figures are relative drops, in per cent."""
        found = []
        ood = {"svhn": 0.278, "cifar10": 0.190, "cifar100": 0.417, "cub200": 0.214}
        wrn = {"svhn": 0.058, "cifar10": 0.290, "cifar100": 0.473}
        for claim, column, what, papers in (
            ("D4", "imagenet_accuracy", "ImageNet queries", ood),
            ("D5", "wrn_accuracy", "a WRN-50 surrogate", wrn),
        ):
            for name, paper in papers.items():
                before, after = self.columns(self.of(name), "attack_accuracy", column)
                label = f"drop of attack accuracy with {what}, {TITLES[name]}"
                found.append(self.statistic(claim, f"relative {label}", paper, _relative_drop, before, after))
                absolute = self.statistic(
                    claim, f"absolute {label}", None, lambda b, a: (b - a).mean(-1), before, after
                )
                found.append(absolute._replace(note=f"worse for {int((after < before).sum())} of {len(before)}"))
        return found

    def membership(self) -> list[Quantity]:
        found = []
        papers = {"cifar10": 0.204, "imagenet-1k": 0.247}
        for name in STUDIED:
            label = f"r(modified-entropy AUC, gap), {TITLES[name]}"
            found.append(self.r("D8", label, papers.get(name), self.of(name), "entropy_auc", "gap"))
        found.append(self.r("D8", "... five data sets", None, self.rows, "entropy_auc", "gap"))
        both = self.of("cifar10", "svhn")
        found.append(self.mean("D9", "mean modified-entropy AUC, CIFAR-10 and SVHN", 0.565, both, "entropy_auc"))
        found += [
            self.mean("D9", f"... {TITLES[name]}", None, self.of(name), "entropy_auc")
            for name in ("cifar10", "svhn", "imagenet-1k")
        ]
        for names, label, holds in (
            (("cub200",), "modified-entropy AUC over 0.8, CUB", lambda row: row.numbers["entropy_auc"] > 0.8),
            (("cifar10", "imagenet-1k"), "... under 0.6, CIFAR-10 and ImageNet-1k", _small_auc),
        ):
            measured = [row for row in self.of(*names) if "entropy_auc" in row.numbers]
            found.append(self.share("D10", label, measured, holds))
        for name in ("cifar10", "imagenet-1k", "cifar100", "cub200", "svhn"):
            label = f"r(correctness AUC, gap), {TITLES[name]}"
            found.append(self.r("D11", label, None, self.of(name), "correctness_auc", "gap"))
        for rows, label in ((self.rows, "benchmark"), (self.hardened, "security")):
            auc, gap = self.columns(rows, "correctness_auc", "gap")
            error = float(np.abs(auc - (0.5 + gap / 2)).max())
            note = "the correctness attack's AUC is 0.5 + gap/2 by definition"
            found.append(Quantity("D11", f"largest |AUC - (0.5 + gap/2)|, {label}", None, error, n=len(auc), note=note))
        return found

    def security(self) -> list[Quantity]:
        hard = [row for row in self.hardened if dataset(row) == "cifar10"]
        found = [
            self.r(
                "D12", "r(attack, task accuracy), security models, CIFAR-10", 0.998, hard, "attack_accuracy", "accuracy"
            )
        ]
        for family in ("resnet", "vgg"):
            part = [row for row in hard if row.texts["Model Type"] == family]
            found.append(self.r("D12", f"... {family}", None, part, "attack_accuracy", "accuracy"))
        found.append(
            self.r(
                "D14",
                "r(attack accuracy, agreement), security models, CIFAR-10",
                None,
                hard,
                "attack_accuracy",
                "agreement",
            )
        )
        for column, what in (("agreement", "agreement"), ("attack_accuracy", "attack accuracy")):
            (values,) = self.columns(hard, column)
            for word, value in (("lowest", values.min()), ("highest", values.max())):
                label = f"{word} {what}, security models, CIFAR-10"
                found.append(Quantity("D14", label, None, float(value), n=len(values)))
        both = [*hard, *self.of("cifar10")]
        label = "r(modified-entropy AUC, gap), CIFAR-10,"
        found.append(self.r("D15", f"{label} benchmark and security", 0.609, both, "entropy_auc", "gap"))
        found.append(self.r("D15", f"{label} security", None, hard, "entropy_auc", "gap"))
        for low in (0.02, 0.04):
            for rows, kind in ((hard, "security"), (self.of("cifar10"), "benchmark")):
                part = [row for row in rows if low <= row.numbers["gap"] < low + 0.02]
                label = f"mean modified-entropy AUC, gap {low:.2f} to {low + 0.02:.2f}, {kind}"
                found.append(self.mean("D15", label, None, part, "entropy_auc"))
        return found

    def publication(self) -> list[Quantity]:
        rows = self.of("imagenet-1k")
        year, attack, task = (
            np.array([float(row.texts["Year"]) for row in rows]),
            *self.columns(rows, "attack_accuracy", "accuracy"),
        )
        found = [
            _quantity("D18", "r(year, attack accuracy), ImageNet-1k", None, correlate(year, attack)),
            _quantity("D18", "r(year, task accuracy), ImageNet-1k", None, correlate(year, task)),
        ]
        given = partial(year, attack, task)
        found.append(Quantity("D18", "r(year, attack accuracy) given task accuracy", None, given, n=len(rows)))
        measured = [row for row in rows if "entropy_auc" in row.numbers]
        years = [float(row.texts["Year"]) for row in measured]
        (auc,) = self.columns(measured, "entropy_auc")
        found.append(_quantity("D19", "r(year, modified-entropy AUC), ImageNet-1k", None, correlate(years, auc)))
        for column, what in (("attack_accuracy", "attack accuracy"), ("entropy_auc", "modified-entropy AUC")):
            kept = [row for row in rows if column in row.numbers]
            kinds = sorted({row.texts["Conference Type"] for row in kept})
            groups = [[r.numbers[column] for r in kept if r.texts["Conference Type"] == kind] for kind in kinds]
            for kind, group in zip(kinds, groups, strict=True):
                label = f"mean {what}, venues of the kind {kind}, ImageNet-1k"
                found.append(self.statistic("D19", label, None, lambda v: v.mean(-1), np.array(group)))
            p = float(stats.kruskal(*groups).pvalue)
            found.append(
                Quantity(
                    "D19",
                    f"p of a difference of {what} between kinds of venue",
                    None,
                    p,
                    n=len(kept),
                    note="Kruskal-Wallis",
                )
            )
        return found

    def leverage(self, name: str) -> list[Without]:
        """r(attack, task accuracy) without the k weakest victims."""
        attack, task = self.columns(self.of(name), "attack_accuracy", "accuracy")
        return without_lowest(attack, task, task, (0, 3, 5, 8))


def dataset(row: Row) -> str:
    """The one name of a row's data set."""
    return dataset_name(row.texts["Data Name"]) or row.texts["Data Name"]


def _quantity(claim: str, label: str, paper: float | None, found: Correlation) -> Quantity:
    return Quantity(claim, label, paper, found.r, found.interval, found.n, found.rho, found.p)


def _small_auc(row: Row) -> bool:
    return row.numbers["entropy_auc"] < 0.6


def _ratio(attack: Floats, task: Floats) -> Floats:
    return np.asarray(attack.mean(-1) / task.mean(-1))


def _relative_drop(before: Floats, after: Floats) -> Floats:
    return np.asarray(1 - after.mean(-1) / before.mean(-1))
