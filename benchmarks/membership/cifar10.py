"""Membership inference on CIFAR-10: a small network trained on half of the training images, 16 shadow models of it.

    ASSAY_DATA=... python -m benchmarks.membership.cifar10 WORKSPACE

About two hours of one core, nearly all of it for the shadow models; interrupt it at will, it goes on where it was.
Prints a table of every score's AUC and true-positive rates with 95 % intervals, and whether LiRA is above the metric
attacks and online above offline; the workspace holds the outcomes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import assay
from assay.base.progress import on_console
from assay.data.images import Subset
from assay.methods.finding import Interval, Metric
from assay.methods.membership.lira_attack import Lira
from assay.methods.membership.metrics_attack import MetricAttacks
from assay.methods.membership.mlp_attack import MlpAttack
from assay.methods.membership.pooled_attack import Pooled
from assay.methods.membership.quantile_attack import QuantileRegression
from assay.methods.membership.results import auc_metric, true_positive_rates
from assay.methods.membership.rmia_attack import Rmia
from assay.methods.membership.roc import Scores
from assay.methods.method import Method
from assay.studies import Trial, run_trials
from assay.studies.samples import SAMPLES, read_samples
from assay.targets.architectures import build
from assay.training.engine import fit, seeded_build
from assay.training.recipe import Recipe

ARCHITECTURE = "tiny-cnn"
RECIPE = Recipe(epochs=12, batch_size=128, learning_rate=0.05, weight_decay=0.0)
SHADOWS = 16
SEED = 0
METRICS = ("correctness", "confidence", "loss", "entropy", "modified_entropy")


def splits() -> assay.Splits:
    """Half of the training images in, half out, at random."""
    train = assay.load_dataset("cifar10").train
    assert train is not None
    order = np.random.default_rng(SEED).permutation(len(train))
    half = len(train) // 2
    return assay.Splits(
        Subset(train, np.sort(order[:half]), "CIFAR-10, half in"),
        Subset(train, np.sort(order[half:]), "CIFAR-10, half out"),
    )


def target(weights: Path) -> assay.Target:
    """The network under test, trained once."""
    parts, shape = splits(), (3, 32, 32)
    assert parts.members is not None
    if not weights.exists():
        module = seeded_build(ARCHITECTURE, 10, shape, 1000 + SEED)
        labels = torch.from_numpy(parts.members.labels)
        fit(module, parts.members, labels, RECIPE, seed=1000 + SEED, device=torch.device("cpu"), progress=on_console())
        weights.parent.mkdir(parents=True, exist_ok=True)
        save_file(module.state_dict(), weights)
    module = build(ARCHITECTURE, 10, shape)
    module.load_state_dict(load_file(weights))
    return assay.Target.from_module(
        module, input_shape=shape, num_classes=10, splits=parts, name=f"{ARCHITECTURE}, half of CIFAR-10"
    )


def methods() -> list[Method]:
    """All attacks on all 50,000 images; those with shadow models share them."""
    options = RECIPE.model_dump(include={"epochs", "batch_size", "optimiser", "learning_rate", "weight_decay"})
    options |= {"max_members": None, "models": SHADOWS, "architecture": ARCHITECTURE}
    return [
        MetricAttacks(max_members=None),
        MlpAttack(max_members=None),
        QuantileRegression(max_members=None, architecture=ARCHITECTURE),
        Lira(**options),
        Lira(mirror=True, **options),
        Rmia(gamma=1.0, **options),
        Rmia(gamma=2.0, **options),
        Pooled(**options),
    ]


def scores(workspace: assay.Workspace, outcome: assay.Outcome) -> dict[str, Scores]:
    """Every AUC's scores of members and non-members, by the name of the score."""
    samples = read_samples(workspace.artefacts(outcome.key) / SAMPLES)
    member = samples.positive
    assert member is not None
    return {name.removeprefix("auc_"): (part[member], part[~member]) for name, part in samples.scores.items()}


def main(folder: Path) -> None:
    """Run what is missing, and print what was found."""
    torch.set_num_threads(1)
    workspace = assay.Workspace(folder)
    tested = target(folder / "target.safetensors")
    ran = run_trials([Trial(tested, method, assay.Serving(), SEED) for method in methods()], workspace, on_console())
    found: dict[str, dict[str, Metric]] = {}
    for outcome in ran.outcomes:
        print(f"{outcome.method.name}: {outcome.status} {outcome.reason} in {outcome.seconds:.0f} s")
        for name, pair in scores(workspace, outcome).items() if outcome.status == "done" else ():
            found[name + _variant(outcome)] = {
                "auc": auc_metric(name, pair), **{m.name: m for m in true_positive_rates(pair)},
            }  # fmt: skip
        for metric in outcome.metrics:
            if not metric.name.startswith(("auc_", "tpr_")):
                print(f"    {metric.label}: {_text(metric)}")
    print("\n| score | AUC | TPR at 1 % FPR | TPR at 0.1 % FPR |\n| --- | ---: | ---: | ---: |")
    for name, row in found.items():
        cells = (_text(row[key]) for key in ("auc", "tpr_at_fpr_0.01", "tpr_at_fpr_0.001"))
        print(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    lira = found["lira_online_fixed"]
    best = max(_interval(found[name]["tpr_at_fpr_0.01"]).high for name in METRICS if name in found)
    print(f"\nLiRA above every metric attack: {_interval(lira['tpr_at_fpr_0.01']).low > best}")
    offline = found["lira_offline_fixed"]
    for key in ("auc", "tpr_at_fpr_0.01"):
        print(f"online above offline, {key}: {_interval(lira[key]).low > _interval(offline[key]).high}")


def _variant(outcome: assay.Outcome) -> str:
    options = outcome.method.options
    return (f", gamma {options['gamma']:g}" if "gamma" in options else "") + ", two queries" * options.get(
        "mirror", False
    )


def _interval(metric: Metric) -> Interval:
    assert metric.interval is not None
    return metric.interval


def _text(metric: Metric) -> str:
    if metric.value is None:
        return "-"
    return f"{metric.value:.4f} ({_interval(metric).low:.4f} to {_interval(metric).high:.4f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
