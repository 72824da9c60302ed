"""Whether the cheapest change that a report names is true: applied, and audited again under other seeds.

    python -m benchmarks.studies.cheapest_change [FAMILY ...]

Each case is audited, with what turns its elevated and high answers measured. The change that the report calls the
cheapest is then applied, and the model audited again in an empty workspace by the same attacks and those that were run
behind the change, with the same seed and with `SEEDS` that nothing was chosen by. Prints, for each case, the level
before, the change, what was promised, and the level found with each seed. Cases of membership and stealing are networks
trained here on digits; those of evasion are public models (needs `ASSAY_DATA`, `ASSAY_MIRROR`).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from assay.access import Serving
from assay.api import Audit, prepare
from assay.methods.metric import Family
from assay.reports.answers import Answer, answer
from assay.reports.remedies import Remedy, Tried
from assay.studies.changes import CHANGES, Change
from assay.targets.target import Target
from benchmarks.membership.serving import OPTIONS, noisy_digits, trained

SEEDS = (1, 2)
SECONDS = 200.0
"""What may be spent on the changes of one case."""

LIRA = {"membership.lira": {**OPTIONS, "weight_decay": 0.0}}


class Case(NamedTuple):
    """A model, the question, and the methods and options of its audit."""

    name: str
    family: Family
    target: Callable[[], Target | str]
    methods: tuple[str, ...]
    options: dict[str, dict[str, Any]] = {}


def noisy(seed: int) -> Target:
    """A network trained on digits of which 30 % have a random label; its training images are the auxiliary set too."""
    splits = noisy_digits(seed)
    return trained(splits._replace(auxiliary=splits.members), seed)


def cases() -> Iterator[Case]:
    """All cases, in the order of the questions."""
    for name, most in (
        ("locuslab/fashion-mnist-small", 500),
        ("locuslab/fashion-mnist-small", 1000),
        ("badnets/mnist-cnn", 150),
        ("locuslab/mnist-small", 150),
    ):
        yield Case(
            f"{name}, {most} questions",
            "stealing",
            lambda name=name: name,  # type: ignore[misc]
            ("stealing.basic",),
            {"stealing.basic": {"up_to": most}},
        )
    for seed in range(4):
        yield Case(
            f"noisy digits {seed}",
            "membership",
            lambda seed=seed: noisy(seed),  # type: ignore[misc]
            ("membership.metrics", "membership.lira"),
            LIRA,
        )
    for name in ("akamaster/cifar10-resnet20", "hyperparticle/cifar10-lenet", "yizeng623/cifar10-cnn6"):
        yield Case(name, "evasion", lambda name=name: name, ("evasion.autoattack",))  # type: ignore[misc]


class Row(NamedTuple):
    """A case, the level before, its remedy, and the answer when it was applied, by seed."""

    case: Case
    before: str
    remedy: Remedy | None
    again: dict[int, Answer]


def run(case: Case, folder: Path) -> Row:
    """Audit a case, apply the cheapest change, and audit it again."""
    target = case.target()
    prepared = prepare(
        target, preset="quick", methods=case.methods, options=case.options, workspace=folder / "first", device="cpu"
    )
    found = prepared.measure_changes(prepared.run(), seconds=SECONDS)
    report = found.report
    before = next(one for one in report.answers if one.family == case.family)
    remedy = report.remedy(case.family)
    if remedy is None or remedy.cheapest is None:
        return Row(case, before.level, remedy, {})
    change = next(one for one in CHANGES if one.name == remedy.cheapest.name)
    again = {seed: applied(prepared.target, case, change, seed, folder / f"again-{seed}") for seed in (0, *SEEDS)}
    return Row(case, before.level, remedy, again)


def applied(target: Target, case: Case, change: Change, seed: int, workspace: Path) -> Answer:
    """The answer of an audit of a target that is served with a change."""
    serving = Serving.model_validate(change.serving(Serving.of(target).model_dump()))
    plain, attacks = case.methods, change.attacks.get(case.family, ())
    outcomes = []
    for preset, names in (("quick", plain), ("standard", tuple(name for name in attacks if name not in plain))):
        if names:
            audit: Audit = prepare(
                target,
                preset=preset,  # type: ignore[arg-type]
                methods=names,
                options={name: value for name, value in case.options.items() if name in names},
                serving=serving,
                seed=seed,
                workspace=workspace,
            ).run()
            outcomes += audit.outcomes
    return answer(case.family, [one for one in outcomes if one.serving or not change.hides_weights])


def _promise(cheapest: Tried) -> str:
    return cheapest.level if cheapest.shown else f"{cheapest.level}, not shown"


def main(wanted: list[str]) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(
        "| case | question | before | cheapest change | promised | "
        + " | ".join(f"seed {s}" for s in (0, *SEEDS))
        + " |"
    )
    print("| --- | --- | --- | --- | --- |" + " --- |" * (1 + len(SEEDS)))
    for case in cases():
        if wanted and case.family not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            row = run(case, Path(folder))
        cheapest = row.remedy.cheapest if row.remedy else None
        again = [row.again[seed].level if seed in row.again else "" for seed in (0, *SEEDS)]
        cells = [cheapest.title if cheapest else "none", _promise(cheapest) if cheapest else ""]
        print(f"| {case.name} | {case.family} | {row.before} | {' | '.join([*cells, *again])} |", flush=True)
        for tried in row.remedy.tried if row.remedy else ():
            value = f"{tried.metric.label} {tried.metric.value:.3f}" if tried.metric and tried.metric.value else ""
            print(f"#   {tried.name}: {tried.level} {value} {tried.sentence[:90]}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
