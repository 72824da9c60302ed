"""Whether the cheapest change that a report names is true: applied, and audited again under other seeds.

    python -m benchmarks.studies.cheapest_change FOLDER [FAMILY or CASE ...]

Each case is audited, with what turns its elevated and high answers measured. The change that the report calls the
cheapest is then applied, and the model audited again in an empty workspace with `SEEDS` that nothing was chosen by: by
the same attacks, by those that were run behind the change, and by those on labels alone, since who gets more than
labels can throw the rest away. Prints, for each case, the level before, the change, what was promised, and the level
found with each seed. A case that is finished is kept in FOLDER, and not run again. Networks are the starter networks,
networks trained here on digits, and public models (needs `ASSAY_DATA`, `ASSAY_MIRROR`).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from assay.access import Serving
from assay.api import Prepared, prepare
from assay.base.frozen import Frozen
from assay.data.images import Subset
from assay.methods.metric import Family
from assay.reports.answers import Answer, answer
from assay.reports.format import metric_text
from assay.reports.remedies import Remedy
from assay.reports.writing import slug
from assay.studies import run_trials
from assay.studies.changes import CHANGES, Change
from assay.studies.changing import attack
from assay.studies.outcome import Outcome
from assay.targets.target import Target
from benchmarks.membership.serving import OPTIONS, noisy_digits, trained

SEEDS = (101, 102)
SECONDS = 1000.0
"""What may be spent on the changes of one case."""

FEW = 150
"""Training images of a network that learns them by heart."""

STARTERS = ("digits-cnn", "digits-cnn-overfitted", "digits-cnn-wide", "digits-mlp", "digits-resnet", "digits-vit")
PUBLIC = ("badnets/mnist-cnn", "badnets/cifar10-cnn", "hyperparticle/cifar10-lenet", "yizeng623/cifar10-cnn6")
SIZES = {"badnets/mnist-cnn": 1.5, "abcrown/mnist-conv-small-nat": 2.0, "badnets/cifar10-cnn": 0.75}
"""Of changes that HopSkipJump also attacks 150 images with, three times its preset's: intervals are narrower."""

LIRA: dict[str, dict[str, Any]] = {
    "membership.lira": {**OPTIONS, "weight_decay": 0.0},
    "membership.boundary": {"max_members": 300, "max_non_members": 300},
}


class Case(NamedTuple):
    """A model, the question, and the methods and options of its audit."""

    name: str
    family: Family
    target: Callable[[], Target | str]
    methods: tuple[str, ...]
    options: dict[str, dict[str, Any]] = {}


class Row(Frozen):
    """A case, the answer before, its remedy, and the answer with the change applied, for each of `SEEDS`."""

    name: str
    family: Family
    before: Answer
    remedy: Remedy | None
    again: list[Answer]

    @property
    def cells(self) -> list[str]:
        """The row of the table."""
        cheapest = self.remedy.cheapest if self.remedy else None
        if cheapest is None:
            change, promise = ("none turns it" if self.remedy else ""), ""
        else:
            change, promise = cheapest.title, cheapest.level if cheapest.shown else "not promised"
        again = [_told(one) for one in self.again] or [""] * len(SEEDS)
        return [self.name, self.family, _told(self.before), change, promise, *again]


def noisy(seed: int, noise: float) -> Target:
    """A network trained on digits, a share of them labelled at random; its training images are the auxiliary set."""
    splits = noisy_digits(seed, noise)
    return trained(splits._replace(auxiliary=splits.members), seed)


def few(seed: int) -> Target:
    """A network trained on `FEW` digits, rightly labelled."""
    splits = noisy_digits(seed, noise=0.0)
    assert splits.members is not None
    own = Subset(splits.members, np.arange(FEW))
    return trained(splits._replace(members=own, auxiliary=own), seed)


def cases() -> Iterator[Case]:
    """All cases, in the order of the questions."""
    for name in STARTERS:
        for most in (100, 200):
            options = {"stealing.basic": {"up_to": most}}
            yield Case(f"{name}, {most} questions", "stealing", _starter(name), ("stealing.basic",), options)
    for most in (500, 1000):
        options = {"stealing.basic": {"up_to": most}}
        name = "locuslab/fashion-mnist-small"
        yield Case(f"{name}, {most} questions", "stealing", partial(str, name), ("stealing.basic",), options)
    for seed in range(4):
        attacks = ("membership.metrics", "membership.mlp")
        yield Case(f"{FEW} digits {seed}", "membership", partial(few, seed), attacks)
    for noise in (0.1, 0.3):
        for seed in range(3):
            attacks = ("membership.metrics", "membership.lira", "membership.boundary")
            name = f"digits {seed}, {noise:.0%} of labels random"
            yield Case(name, "membership", partial(noisy, seed, noise), attacks, LIRA)
    for name, size in SIZES.items():
        evasion: dict[str, dict[str, Any]] = {
            "evasion.autoattack": {"norm": "l2", "epsilons": (size,), "max_images": 300},
            "evasion.hop_skip_jump": {"epsilon": size, "max_images": 150},
        }
        yield Case(f"{name}, L2 of {size:g}", "evasion", partial(str, name), tuple(evasion), evasion)
    options = {"evasion.autoattack": {"norm": "l2", "max_images": 300}}
    for name in PUBLIC:
        yield Case(name, "evasion", partial(str, name), ("evasion.autoattack",), options)
    for name in STARTERS[:2]:
        yield Case(name, "evasion", _starter(name), ("evasion.autoattack",))


def _starter(name: str) -> Callable[[], str]:
    return partial(str, f"starter/{name}")


def run(case: Case, folder: Path) -> Row:
    """Audit a case, apply the cheapest change, and audit it again."""
    prepared = _prepared(case.target(), case.methods, case.options, None, 0, folder / "0")
    report = prepared.measure_changes(prepared.run(), seconds=SECONDS).report
    before = next(one for one in report.answers if one.family == case.family)
    remedy = report.remedy(case.family)
    again = []
    if remedy is not None and remedy.cheapest is not None:
        change = next(one for one in CHANGES if one.name == remedy.cheapest.name)
        again = [applied(prepared.target, case, change, seed, folder / str(seed)) for seed in SEEDS]
    return Row(name=case.name, family=case.family, before=before, remedy=remedy, again=again)


def applied(target: Target, case: Case, change: Change, seed: int, workspace: Path) -> Answer:
    """The answer of an audit of a target that is served with a change."""
    labels = [one for one in CHANGES if one.output == "label" and case.family in one.families]
    outcomes: list[Outcome] = []
    for one in dict.fromkeys((change.name, *(each.name for each in labels))):
        outcomes += _behind(target, case, next(each for each in CHANGES if each.name == one), seed, workspace)
    return answer(case.family, outcomes)


def _prepared(
    target: Target | str,
    methods: Sequence[str],
    options: dict[str, dict[str, Any]],
    serving: Serving | None,
    seed: int,
    workspace: Path,
) -> Prepared:
    return prepare(
        target,
        preset="quick",
        methods=methods,
        options=options,
        serving=serving,
        seed=seed,
        workspace=workspace,
        device="cpu",
    )


def _behind(target: Target, case: Case, change: Change, seed: int, workspace: Path) -> list[Outcome]:
    """What the case's black-box attacks, and those of a change, find behind it."""
    serving = Serving.model_validate(change.serving(Serving.of(target).model_dump()))
    plain = _prepared(target, case.methods, case.options, serving, seed, workspace)
    added = [
        method
        for name in change.attacks.get(case.family, ())
        if name not in case.methods and (method := attack(name, plain.trials)) is not None
    ]
    trials = [*plain.trials, *(replace(plain.trials[0], method=method) for method in added)]
    found = run_trials([trial for trial in trials if trial.method.needs != "white-box"], plain.workspace)
    return found.outcomes


def _told(one: Answer) -> str:
    return f"{one.level}, {metric_text(one.metric)}" if one.metric else one.level


def main(folder: Path, wanted: list[str]) -> None:
    """Run what is not finished, and print the table."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    seeds = " | ".join(f"seed {seed}" for seed in SEEDS)
    print(f"| case | question | before | cheapest change | promised | {seeds} |")
    print("| --- | --- | --- | --- | --- |" + " --- |" * len(SEEDS))
    for case in cases():
        if wanted and case.family not in wanted and case.name not in wanted:
            continue
        file = folder / f"{case.family}-{slug(case.name)}.json"
        if file.exists():
            row = Row.model_validate_json(file.read_text("utf-8"))
        else:
            with tempfile.TemporaryDirectory() as aside:
                row = run(case, Path(aside))
            file.write_text(row.model_dump_json(indent=1), "utf-8")
        print(f"| {' | '.join(row.cells)} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
