"""What decides how much is stolen: strategies, learners, optimisers, surrogates and targets under one honest budget.

    ASSAY_DATA=... ASSAY_MIRROR=... python -m benchmarks.stealing.study WORKSPACE [TABLE ...]

Every cell is one trial of ``stealing.theft`` against a public CIFAR-10 network, kept in the workspace; interrupt it at
will, it goes on where it was. Questions are images of the target's own training set that are not used to judge it
(``partial``), or Caltech-101 (``caltech``); agreement is measured on the 1,000 test images at hand. Without
tables named, all are run; ``tables`` prints them, with the decision rules that were written down before.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

import assay
from assay.access.serving import Output
from assay.base.errors import AssayError
from assay.base.progress import on_console
from assay.data.images import Fitted
from assay.methods.stealing.surrogates.pretraining import Pretext, pretrain
from assay.studies import Outcome, Trial, Workspace, make_method, run_trials
from assay.training import Recipe
from benchmarks.stealing.victims import VICTIMS, backbone, victim

CPU = torch.device("cpu")
SEEDS = (0, 1, 2)
DEVELOPMENT = "akamaster/cifar10-resnet20"
TUNING = "akamaster/cifar10-resnet32"
HELD_OUT = (
    "akamaster/cifar10-resnet56",
    "mlcommons/cifar10-resnet8",
    "hyperparticle/cifar10-resnet32",
    "yizeng623/cifar10-cnn6",
    "abcrown/cifar10-conv-small-pgd",
)
"""Targets of the last table, named before anything was measured; nothing is chosen on them."""

PUBLIC = (
    "abcrown/cifar10-cnn-a-adv",
    "abcrown/cifar10-cnn-a-adv-alt",
    "abcrown/cifar10-conv-small-pgd",
    "abcrown/cifar10-marabou-medium",
    "abcrown/cifar10-marabou-small",
    "abcrown/cifar10-oval-base",
    "abcrown/cifar10-oval-deep",
    "abcrown/cifar10-oval-wide",
    "abcrown/cifar10-resnet2b",
    "abcrown/cifar10-resnet4b",
    "akamaster/cifar10-resnet20",
    "akamaster/cifar10-resnet32",
    "akamaster/cifar10-resnet56",
    "hyperparticle/cifar10-lenet",
    "hyperparticle/cifar10-resnet32",
    "locuslab/cifar10-l2-small",
    "mlcommons/cifar10-resnet8",
    "yizeng623/cifar10-cnn6",
)
"""Every clean public CIFAR-10 network of the catalogue, one file of each."""

SMALL: dict[str, Any] = {
    "architecture": "tiny-cnn",
    "resized_to": 16,
    "batch_size": 128,
    "epochs": 12,
    "learning_rate": 0.002,
    "shift": 2,
    "flip": True,
}
"""The small surrogate and how it is trained wherever a table does not vary it: 11,000 images a second of one core, so
that a table of fifty thefts takes half an hour."""

ADVERSARIAL = 500
"""Test images that adversarial fidelity is measured on."""

BUDGETS = (1_000, 2_500, 5_000, 10_000)
OPTIMISERS: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {
    "sgd, no momentum": ({"optimiser": "sgd", "momentum": 0.0}, (0.03, 0.1, 0.3, 1.0)),
    "sgd, momentum 0.9": ({"optimiser": "sgd", "momentum": 0.9}, (0.01, 0.03, 0.1, 0.3)),
    "adam": ({"optimiser": "adam"}, (0.001, 0.002, 0.004, 0.008)),
    "adamw": ({"optimiser": "adamw"}, (0.001, 0.002, 0.004, 0.008)),
    "lion": ({"optimiser": "lion"}, (0.0001, 0.0003, 0.001, 0.003)),
}
ANSWERS: tuple[tuple[str, Output, tuple[str, ...]], ...] = (
    ("posteriors", "posteriors", ()),
    ("rounded to 2 decimals", "posteriors", ("rounding=2",)),
    ("the most probable only, six levels", "posteriors", ("levels",)),
    ("the three most probable", "posteriors", ("top=3",)),
    ("labels", "label", ()),
)
SIZES = {"tiny-resnet": "78 thousand", "resnet20": "270 thousand", "torchvision:resnet18": "11 million"}


class Cell(NamedTuple):
    """One trial: its table, what stands in the row, the target, the pool, the seed and the method's options."""

    table: str
    row: str
    target: str
    pool: str
    seed: int
    options: dict[str, Any]
    output: Output = "posteriors"
    policies: tuple[str, ...] = ()


def strategies() -> Iterator[Cell]:
    """Every strategy with the soft learner, every learner with random questions."""
    chosen = {
        "partial": [
            "random",
            "entropy",
            "margin",
            "k-center",
            "knockoff",
            "dfal:candidates=1000,classes=3,steps=5",
            "jacobian",
            "adversarial",
            "data-free",
        ],
        "caltech": ["random", "margin", "k-center", "knockoff"],
    }
    for pool, texts in chosen.items():
        budgets = BUDGETS if pool == "partial" else (1_000, 2_500, 5_000, 7_500)
        for text in texts:
            options = {**SMALL, "strategy": text, "budget": budgets[-1], "checkpoints": budgets[:-1]}
            if text == "random":
                options["adversarial_images"] = ADVERSARIAL
            yield from (
                Cell("strategies", f"{text.partition(':')[0]} + soft", DEVELOPMENT, pool, seed, options)
                for seed in SEEDS
            )
        for learner in ("hard", "kl", "mixup", "mixmatch", "fixmatch"):
            if pool == "caltech" and learner in ("kl", "mixup", "mixmatch"):
                continue
            options = {**SMALL, "learner": learner, "budget": budgets[-1], "checkpoints": budgets[:-1]}
            options["adversarial_images"] = ADVERSARIAL
            yield from (Cell("strategies", f"random + {learner}", DEVELOPMENT, pool, seed, options) for seed in SEEDS)


def answers() -> Iterator[Cell]:
    """What the target answers: posteriors, whole, rounded, cut or quantised, and labels."""
    options = {**SMALL, "budget": 5_000}
    for row, output, policies in ANSWERS:
        yield from (Cell("answers", row, DEVELOPMENT, "partial", seed, options, output, policies) for seed in SEEDS)


def tuning() -> Iterator[Cell]:
    """Learning rates, tried on another network and another seed than those that are reported."""
    for name, (settings, rates) in OPTIMISERS.items():
        for rate in rates:
            options = {**SMALL, **settings, "learning_rate": rate, "budget": 5_000}
            yield Cell("tuning", f"{name} {rate:g}", TUNING, "partial", 10, options)


def optimisers(tuned: list[tuple[Cell, Outcome]]) -> Iterator[Cell]:
    """Each optimiser at the rate that was best in `tuning`."""
    tried = {cell.row: outcome for cell, outcome in tuned}
    for name, (settings, rates) in OPTIMISERS.items():
        best = max(rates, key=lambda rate: value(tried[f"{name} {rate:g}"], "agreement"))
        options = {**SMALL, **settings, "learning_rate": best, "budget": 5_000}
        yield from (Cell("optimisers", f"{name} ({best:g})", DEVELOPMENT, "partial", seed, options) for seed in SEEDS)


def sizes() -> Iterator[Cell]:
    """Surrogates of three sizes: trained equally, and each longer."""
    for name in SIZES:
        for training, epochs in (("equal", 10), ("longer", 30)):
            options = {**SMALL, "architecture": name, "epochs": epochs, "budget": 2_500}
            yield from (Cell("sizes", f"{name}, {training}", DEVELOPMENT, "partial", seed, options) for seed in SEEDS)


def starts(folders: Mapping[Pretext, Path]) -> Iterator[Cell]:
    """The small surrogate from random weights, and from pre-training on Caltech-101."""
    for row, start in {"random": "random", **{kind: str(folder) for kind, folder in folders.items()}}.items():
        for pool in ("partial", "caltech"):
            budgets = BUDGETS if pool == "partial" else (1_000, 2_500, 5_000, 7_500)
            options = {**SMALL, "initialisation": start, "budget": budgets[-1], "checkpoints": budgets[:-1]}
            yield from (Cell("starts", row, DEVELOPMENT, pool, seed, options) for seed in SEEDS)


def pretrained(workspace: Workspace) -> dict[Pretext, Path]:
    """Folders of the small surrogate, trained on Caltech-101: on its labels, and on telling turned images apart."""
    images = caltech()
    recipe = Recipe(epochs=20, batch_size=128, optimiser="adam", learning_rate=0.002, shift=2, flip=True)
    folders = pretrained_folders(workspace.path)
    for kind, folder in folders.items():
        if not (folder / "surrogate.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            shorter = recipe.model_copy(update={"epochs": 5}) if kind == "rotation" else recipe
            pretrain("tiny-cnn", images, folder, shorter, kind=kind, largest_side=16, device=CPU, progress=on_console())
    return folders


def pretrained_folders(workspace: Path) -> dict[Pretext, Path]:
    """Where a workspace keeps the pre-trained surrogates."""
    kinds: tuple[Pretext, ...] = ("supervised", "rotation")
    return {kind: workspace / "pretrained" / kind for kind in kinds}


def targets(supervised: Path) -> Iterator[Cell]:
    """Every public target, by surrogate, to see whether a better one gives more away."""
    kinds = {"random start": {}, "pre-trained on Caltech-101": {"initialisation": str(supervised)}}
    for target in PUBLIC:
        for kind, extra in kinds.items():
            options = {**SMALL, **extra, "budget": 2_500}
            yield Cell("targets", kind, target, "partial", 0, options)


def foundation() -> Iterator[Cell]:
    """Victims and thieves with and without ImageNet pre-training: 2,500 hard labels, a tenth of them for validation."""
    for name in VICTIMS:
        for row, options in {
            "small CNN, random start": {**SMALL, "epochs": 30},
            "EfficientNet-Lite0, linear probe": {**backbone("linear-probe"), "epochs": 40, "learning_rate": 0.003},
            "EfficientNet-Lite0, full fine-tuning": {
                **backbone("full"),
                "epochs": 3,
                "learning_rate": 0.001,
                "flip": True,
            },
        }.items():
            rest = {"learner": "hard", "budget": 2_500, "validation_share": 0.1}
            seeds = SEEDS[:1] if options.get("adaptation") == "full" else SEEDS  # fine-tuning takes long
            yield from (
                Cell("foundation", row, f"victim:{name}", "partial", seed, {**options, **rest}, "label")
                for seed in seeds
            )


def best() -> Iterator[Cell]:
    """``stealing.best`` at 2,500 questions beside ``stealing.basic`` at 2,500 and 5,000, on the held-out targets.

    The composition was chosen on `DEVELOPMENT` with another seed. Both make a copy of the same small architecture.
    """
    for target in HELD_OUT:
        for row, budget in (("best", 2_500), ("basic", 2_500), ("basic", 5_000)):
            options = {"architecture": "tiny-cnn", "budget": budget}
            yield Cell("best", f"{row} {budget}", target, "partial", 0, options)


def cells(table: str, workspace: Workspace) -> list[Cell]:
    """The cells of a table; those that build on another table's results run that first."""
    if table == "optimisers":
        run(list(tuning()), workspace)
    made = {
        "strategies": strategies,
        "answers": answers,
        "tuning": tuning,
        "optimisers": lambda: optimisers(finished(tuning(), workspace)),
        "sizes": sizes,
        "starts": lambda: starts(pretrained(workspace)),
        "targets": lambda: targets(pretrained(workspace)["supervised"]),
        "foundation": foundation,
        "best": best,
    }
    return list(made[table]())


TABLES = ("best", "answers", "optimisers", "starts", "targets", "strategies", "foundation", "sizes")


def caltech() -> Fitted:
    """Caltech-101 at the size of CIFAR-10's images."""
    train = assay.load_dataset("caltech101").train
    assert train is not None
    return Fitted(train, (3, 32, 32))


def trials(chosen: list[Cell], workspace: Workspace) -> Iterator[tuple[Cell, Trial]]:
    """The trials of cells, each target and pool opened once."""
    opened: dict[tuple[str, str], assay.Target] = {}
    for cell in chosen:
        place = (cell.target, cell.pool)
        if place not in opened:
            kind, _, name = cell.target.partition(":")
            target = victim(name, workspace.path / "victims") if kind == "victim" else assay.load_target(cell.target)
            if cell.pool == "caltech":
                target = target.with_splits(target.splits._replace(auxiliary=caltech()))
            opened[place] = target
        name = {"best 2500": "stealing.best"}.get(cell.row, "stealing.basic")
        method = make_method(name if cell.table == "best" else "stealing.theft", None, cell.options)
        serving = assay.Serving(output=cell.output, policies=cell.policies)
        yield cell, Trial(opened[place], method, serving, cell.seed)


def run(chosen: list[Cell], workspace: Workspace) -> None:
    """Run what is not finished."""
    run_trials([trial for _, trial in trials(chosen, workspace)], workspace, on_console())


def finished(chosen: Iterator[Cell] | list[Cell], workspace: Workspace) -> list[tuple[Cell, Outcome]]:
    """Cells with their outcomes, those that are there."""
    found = [(cell, workspace.load(trial.key)) for cell, trial in trials(list(chosen), workspace)]
    return [(cell, outcome) for cell, outcome in found if outcome is not None]


def value(outcome: Outcome, name: str) -> float:
    """A metric's value."""
    found = next(metric.value for metric in outcome.metrics if metric.name == name)
    assert found is not None
    return found


def main() -> None:
    """Run the tables named, or all."""
    parser = argparse.ArgumentParser(description="Run the stealing study.")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], default=[])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    workspace = Workspace(arguments.workspace)
    for table in arguments.tables or TABLES:
        try:
            run(cells(table, workspace), workspace)
        except AssayError as error:
            print(f"{table}: {error}")


if __name__ == "__main__":
    main()
