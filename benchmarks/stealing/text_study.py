"""Does pre-training matter more for stealing text models than image models? Starts, optimisers and answers on SST-2.

    ASSAY_DATA=... python -m benchmarks.stealing.text_study WORKSPACE [TABLE ...] [--data FILE]

The target is the sentence encoder all-MiniLM-L6-v2 with a new classifier; its last layer and the classifier were
trained for one epoch on 1,500 sentences of SST-2. Questions are sentences of the rest of its training part. Every cell
is one trial of ``stealing.theft``, kept in the workspace: interrupt it at will, it goes on where it was. Learning rates
are chosen on another target (a convolutional network from scratch, trained on 1,500 others) with another seed. When all
is run, the tables are printed as Markdown; ``--data`` writes the numbers of every seed as JSON.

Rules, written before the first run. Intervals are 95 % t-intervals over three seeds, of differences seed by seed.
T1, "pre-training matters more for text than for images" (Model Extraction Attacks Revisited, AsiaCCS 2024: RoBERTa
gains 25 points of fidelity, image models little): the difference at the largest budget between the same architecture
with and without pre-training. Our image figures (docs/studies/stealing.md) are 1.5 to 2.3 points with intervals up to
5.1. Reproduced if the whole interval lies above 5.1, contradicted if it lies below 1.5, else open. The same is asked of
the best pre-trained start against the best random one, best on the tuning target.
T2, "SGD lags behind Adam": reproduced if the interval of the difference lies below 0, contradicted if above, else open.
T3, "Lion is like Adam": reproduced if the interval lies within 5 points of 0, contradicted if beyond, else open.
T4, "six levels cost the thief little": as T3, against whole posteriors.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import assay
from assay.base.progress import on_console
from assay.data.images import Subset
from assay.data.splits import Splits
from assay.methods.stealing.surrogate import Network, load_network, save_surrogate
from assay.methods.stealing.surrogates.prepare import prepare
from assay.studies import Outcome, Trial, Workspace, make_method, run_trials
from assay.targets.module import Preprocessed
from assay.targets.text.network import text_network
from assay.training import Recipe, fit
from benchmarks.stealing.tables import alike, over_seeds, shown, table, verdict

CPU = torch.device("cpu")
SEEDS, TUNING_SEED = (0, 1, 2), 10
BUDGETS = (50, 100, 200, 400)
TESTED, TESTED_STARTS = 600, 300
"""Test sentences: where copies are small, and where transformers have to read them."""

TRAINED_ON = 1_500
LENGTH = 256
"""Bytes of a sentence that are kept; SST-2's longest has 268."""

MINILM = "text:minilm?tokens=32"
VECTORS, FIRST_LAYER = "text:minilm?layers=0&tokens=32", "text:minilm?layers=1&tokens=32"
TARGETS: dict[str, tuple[str, str, Recipe]] = {
    "minilm": (MINILM, "pretrained", Recipe(epochs=1, batch_size=32, optimiser="adamw", learning_rate=5e-4)),
    "tuning": ("text:cnn", "random", Recipe(epochs=20, batch_size=32, optimiser="adam", learning_rate=1e-3)),
}
"""Architecture, start and training of the targets."""

STARTS: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {
    "MiniLM, pre-trained, linear probe": (
        {"architecture": MINILM, "initialisation": "pretrained", "adaptation": "linear-probe", "epochs": 40},
        (0.003, 0.02),
    ),
    "word vectors of MiniLM, pre-trained": (
        {"architecture": VECTORS, "initialisation": "pretrained", "epochs": 10},
        (1e-3, 5e-3),
    ),
    "word vectors of MiniLM, random": ({"architecture": VECTORS, "epochs": 10}, (1e-3, 5e-3)),
    "convolutional network, random": ({"architecture": "text:cnn?tokens=32", "epochs": 20}, (1e-3, 3e-3)),
}
"""Surrogates with the learning rates that are tried for each."""

LAYER: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {
    "first layer of MiniLM, pre-trained": (
        {"architecture": FIRST_LAYER, "initialisation": "pretrained", "epochs": 5},
        (2e-4, 1e-3),
    ),
    "first layer of MiniLM, random": ({"architecture": FIRST_LAYER, "epochs": 5}, (2e-4, 1e-3)),
}
SMALL: dict[str, Any] = {"architecture": "text:cnn?tokens=32", "epochs": 20}
OPTIMISERS: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {
    "sgd, no momentum": ({"optimiser": "sgd", "momentum": 0.0}, (0.1, 0.3, 1.0)),
    "sgd, momentum 0.9": ({"optimiser": "sgd", "momentum": 0.9}, (0.03, 0.1, 0.3)),
    "adam": ({"optimiser": "adam"}, (1e-3, 3e-3, 1e-2)),
    "adamw": ({"optimiser": "adamw"}, (1e-3, 3e-3, 1e-2)),
    "lion": ({"optimiser": "lion"}, (3e-4, 1e-3, 3e-3)),
}
COMMON: dict[str, Any] = {"batch_size": 32, "optimiser": "adam", "weight_decay": 0.0, "test_images": TESTED}
IMAGES_LEAST, IMAGES_MOST = 0.015, 0.051
"""What pre-training brings image surrogates: the least mean, and the greatest upper end of an interval."""


class Cell(NamedTuple):
    """One trial: its table, what stands in the row, the target, the seed, the options and the service's policies."""

    table: str
    row: str
    target: str
    seed: int
    options: dict[str, Any]
    policies: tuple[str, ...] = ()


def tried(name: str, kinds: dict[str, tuple[dict[str, Any], tuple[float, ...]]], base: dict[str, Any]) -> list[Cell]:
    """Every kind with every rate, on the tuning target."""
    return [
        Cell(f"tuning {name}", f"{row} {rate:g}", "tuning", TUNING_SEED, {**base, **options, "learning_rate": rate})
        for row, (options, rates) in kinds.items()
        for rate in rates
    ]


TUNING_STARTS = tried("starts", STARTS, {**COMMON, "test_images": TESTED_STARTS, "budget": 200})
TUNING_LAYER = tried("layer", LAYER, {**COMMON, "test_images": TESTED_STARTS, "budget": 200})
TUNING_OPTIMISERS = tried("optimisers", OPTIMISERS, {**COMMON, **SMALL, "budget": 500})


def best_rates(
    cells: list[Cell], kinds: dict[str, tuple[dict[str, Any], tuple[float, ...]]], workspace: Workspace
) -> dict[str, tuple[float, float]]:
    """For every kind the rate that agreed best while tuning (the lowest of equals), and that agreement.

    A rate at which training diverged has no outcome and is passed over.
    """
    found = {cell.row: value(outcome, "agreement") for cell, outcome in finished(cells, workspace)}
    best = {}
    for row, (_, rates) in kinds.items():
        agreed = {rate: found[name] for rate in rates if (name := f"{row} {rate:g}") in found}
        rate = max(agreed, key=lambda rate: (agreed[rate], -rate))
        best[row] = (rate, agreed[rate])
    return best


def starts(workspace: Workspace) -> list[Cell]:
    """Pre-trained and random surrogates at four budgets."""
    run(TUNING_STARTS, workspace)
    rates = best_rates(TUNING_STARTS, STARTS, workspace)
    return [
        Cell(
            "starts",
            row,
            "minilm",
            seed,
            {
                **COMMON,
                **options,
                "learning_rate": rates[row][0],
                "test_images": TESTED_STARTS,
                "budget": BUDGETS[-1],
                "checkpoints": BUDGETS[:-1],
            },
        )
        for seed in SEEDS
        for row, (options, _) in STARTS.items()
    ]


def optimisers(workspace: Workspace) -> list[Cell]:
    """Each optimiser at its best rate."""
    run(TUNING_OPTIMISERS, workspace)
    rates = best_rates(TUNING_OPTIMISERS, OPTIMISERS, workspace)
    return [
        Cell("optimisers", row, "minilm", seed, {**COMMON, **SMALL, **options, "learning_rate": rates[row][0], **ASKED})
        for row, (options, _) in OPTIMISERS.items()
        for seed in SEEDS
    ]


ASKED = {"budget": BUDGETS[-1]}
ANSWERS: dict[str, tuple[str, ...]] = {"posteriors": (), "six levels": ("levels",), "labels": ("label",)}


def answers(workspace: Workspace) -> list[Cell]:
    """What the target answers, to the convolutional network."""
    run(TUNING_OPTIMISERS, workspace)
    rate = best_rates(TUNING_OPTIMISERS, OPTIMISERS, workspace)["adam"][0]
    return [
        Cell("answers", row, "minilm", seed, {**COMMON, **SMALL, "learning_rate": rate, **ASKED}, policies)
        for row, policies in ANSWERS.items()
        for seed in SEEDS
    ]


def layer(workspace: Workspace) -> list[Cell]:
    """One layer of a transformer, pre-trained and random, at the largest budget."""
    run(TUNING_LAYER, workspace)
    rates = best_rates(TUNING_LAYER, LAYER, workspace)
    rest = {**ASKED, "test_images": TESTED_STARTS}
    return [
        Cell("layer", row, "minilm", seed, {**COMMON, **options, "learning_rate": rates[row][0], **rest})
        for seed in SEEDS
        for row, (options, _) in LAYER.items()
    ]


TABLES = {"starts": starts, "answers": answers, "optimisers": optimisers, "layer": layer}


def target(name: str, folder: Path) -> assay.Target:
    """A target with its splits: the first rows in a random order are its members, and the rest is asked about."""
    architecture, start, recipe = TARGETS[name]
    dataset = assay.load_dataset("sst2", size=(1, LENGTH))
    assert dataset.train is not None
    assert dataset.test is not None
    order = np.random.default_rng(list(TARGETS).index(name)).permutation(len(dataset.train))
    members = Subset(dataset.train, order[:TRAINED_ON])
    place = folder / name
    if not (place / "surrogate.json").exists():
        place.mkdir(parents=True, exist_ok=True)
        module = prepare(architecture, start, num_classes=2, shape=members.shape, seed=0)
        if start == "pretrained":
            freeze_but_last(module)
        labels = torch.from_numpy(members.labels)
        fit(module, members, labels, recipe, seed=0, device=CPU, progress=on_console(), label=f"training {name}")
        size = (1, LENGTH)
        described = Network(architecture=architecture, num_classes=2, input_shape=members.shape, size=size)
        save_surrogate(module, described, place)
    module, _ = load_network(place)
    return assay.Target.from_module(
        module.module,
        input_shape=members.shape,
        num_classes=2,
        name=name,
        class_names=dataset.class_names,
        modality="text",
        splits=Splits(members, dataset.test, Subset(dataset.train, order[TRAINED_ON:])),
    )


def freeze_but_last(module: Preprocessed) -> None:
    """Leave a sentence encoder's last layer and its classifier to be trained."""
    network = text_network(module)
    assert network is not None
    layers = [name for name, _ in network.encoder.named_parameters() if ".layer." in name]
    last = max(int(name.partition(".layer.")[2].partition(".")[0]) for name in layers)
    for name, weight in network.encoder.named_parameters():
        weight.requires_grad_(f".layer.{last}." in name)


def trials(cells: list[Cell], workspace: Workspace) -> Iterator[tuple[Cell, Trial]]:
    """The trials of cells, each target opened once."""
    opened: dict[str, assay.Target] = {}
    for cell in cells:
        if cell.target not in opened:
            opened[cell.target] = target(cell.target, workspace.path / "targets")
        method = make_method("stealing.theft", None, cell.options)
        yield cell, Trial(opened[cell.target], method, assay.Serving(policies=cell.policies), cell.seed)


def run(cells: list[Cell], workspace: Workspace) -> None:
    """Run what is not finished."""
    run_trials([trial for _, trial in trials(cells, workspace)], workspace, on_console())


def finished(cells: list[Cell], workspace: Workspace) -> list[tuple[Cell, Outcome]]:
    """Cells with their outcomes, those that are there."""
    found = [(cell, workspace.load(trial.key)) for cell, trial in trials(cells, workspace)]
    return [(cell, outcome) for cell, outcome in found if outcome is not None]


def value(outcome: Outcome, name: str) -> float:
    """A metric's value."""
    found = outcome.metric(name).value
    assert found is not None
    return found


class Results:
    """Agreements of a table by row and name, a value for each seed in order."""

    def __init__(self, done: list[tuple[Cell, Outcome]]) -> None:
        self.values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for cell, outcome in sorted(done, key=lambda pair: pair[0].seed):
            for metric in outcome.metrics:
                if metric.value is not None:
                    self.values[cell.row][metric.name].append(metric.value)

    def less(self, row: str, base: str, name: str = "agreement") -> list[float]:
        """Differences, seed by seed."""
        pairs = zip(self.values[row][name], self.values[base][name], strict=True)
        return [ours - theirs for ours, theirs in pairs]


def more_than_images(differences: list[float]) -> str:
    """T1."""
    mean, half = over_seeds(differences)
    if mean - half > IMAGES_MOST:
        return "reproduced"
    return "contradicted" if mean + half < IMAGES_LEAST else "open"


def print_starts(results: Results, workspace: Workspace) -> None:
    """Curves over budgets, and T1."""
    names = [f"agreement_at_{budget}" for budget in BUDGETS[:-1]] + ["agreement"]
    rows = [[row, *(shown(results.values[row][name]) for name in names)] for row in STARTS]
    table(["", *map(str, BUDGETS)], rows)
    tuned = best_rates(TUNING_STARTS, STARTS, workspace)
    kinds = [[row for row in STARTS if start in row] for start in ("pre-trained", "random")]
    best = [max(rows, key=lambda row: tuned[row][1]) for rows in kinds]
    for ours, base in ((list(STARTS)[1], list(STARTS)[2]), (best[0], best[1])):
        print(f"- {ours}, less {base}: " + "; ".join(f"{shown(results.less(ours, base, name))}" for name in names))
        print(f"  T1: {more_than_images(results.less(ours, base))}")


BASES = {"answers": "posteriors", "optimisers": "adam", "layer": "first layer of MiniLM, random"}
"""The rows that others are compared with."""


def print_flat(name: str, results: Results, base: str) -> None:
    """Agreement at one budget, and what is claimed of it."""
    rows = [
        [row, shown(found["agreement"]), shown(found["surrogate_accuracy"]), shown(results.less(row, base))]
        for row, found in results.values.items()
    ]
    table(["", "agreement", "accuracy", f"less {base}"], rows)
    if name == "optimisers":
        for row in list(OPTIMISERS)[:2]:
            print(f"- T2 ({row}): {verdict(results.less(row, base), -1)}")
        print(f"- T3: {alike(results.less('lion', base))}")
    elif name == "layer":
        print(f"- T1: {more_than_images(results.less(next(iter(LAYER)), base))}")
    else:
        print(f"- T4: {alike(results.less('six levels', base))}")


def main() -> None:
    """Run the tables named, or all, and print them."""
    parser = argparse.ArgumentParser(description="Run the study of stealing text models.")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], default=[])
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    workspace = Workspace(arguments.workspace)
    kept: dict[str, Any] = {}
    for name in arguments.tables or TABLES:
        cells = TABLES[name](workspace)
        run(cells, workspace)
        done = finished(cells, workspace)
        results = Results(done)
        print(f"\n## {name} ({len(done)} of {len(cells)} trials)\n")
        if len(done) < len(cells):
            continue
        if name == "starts":
            print_starts(results, workspace)
        else:
            print_flat(name, results, BASES[name])
        kept[name] = {row: as_data(found, name == "starts") for row, found in results.values.items()}
        accuracy = sorted({round(value(outcome, "target_accuracy"), 4) for _, outcome in done})
        print(f"\nAccuracy of the target: {', '.join(map(str, accuracy))}")
    if arguments.data:
        arguments.data.write_text(json.dumps({"study": "text", "tables": kept}, indent=1) + "\n")


def as_data(found: dict[str, list[float]], curve: bool) -> dict[str, Any]:
    """A row as the ledger of claims reads it: agreements of every seed, by budget where there is a curve."""
    flat = {name: [round(number, 6) for number in found[name]] for name in ("agreement", "surrogate_accuracy")}
    at = {str(budget): found[f"agreement_at_{budget}"] for budget in BUDGETS[:-1]} if curve else {}
    return {"budget": BUDGETS[-1], **flat, **({"agreement_at": at} if at else {})}


if __name__ == "__main__":
    main()
