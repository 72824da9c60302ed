"""What a published sibling adds for an attacker who has other networks of the task anyway, on CIFAR-10.

    ASSAY_DATA=... python -m benchmarks.siblings.alternatives FOLDER [--images 100] [--only TARGET] [--attacks transfer]
    python -m benchmarks.siblings.alternatives FOLDER --report [--evidence FILE]

Every attack with every network in hand is one JSON file in FOLDER: interrupt it at will, it goes on where it was.
ASSAY_MIRROR spares the downloads. About a quarter of an hour of one core a target; most of it goes to the few images
that withstand all thousand questions.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assay.access import Published, WhiteBox
from assay.analysis.claims.evidence import Evidence, Number, write_evidence
from assay.base.errors import NothingAssessedError
from assay.methods.evasion.queries import QueryOptions, QueryResult
from assay.methods.finding import Metric
from assay.methods.siblings.attackers import ENSEMBLE, NOTHING, Ensemble, in_hand
from assay.methods.siblings.campaigns import Campaign, planned, run_attack
from assay.methods.siblings.savings import attack_metrics, gains, using
from assay.targets.reference import open_model
from benchmarks.siblings.evidence import CAP
from benchmarks.siblings.siblings import EPSILON, Bench, bench, in_the_hand

APART = ("akamaster/cifar10-resnet56", "hyperparticle/cifar10-resnet32")
"""Networks that anybody may have: trained apart from every target here, by other people on other code."""

TARGETS: dict[str, str] = {
    "akamaster/cifar10-resnet20": "int8",
    "mlcommons/cifar10-resnet8-float": "mlcommons/cifar10-resnet8-int8",
    "hyperparticle/cifar10-lenet": "int8",
    "yizeng623/cifar10-cnn6": "int8",
    "mlcommons/cifar10-resnet-large-float": "mlcommons/cifar10-resnet-large-int8",
}
"""The model under attack, and its sibling."""

SIBLING = "sibling"


def hands(target: str, on: Bench) -> dict[str, WhiteBox | None]:
    """Everything that the attacker may have, by name."""
    apart = {name: Published(open_model(name).target) for name in APART}
    together = in_hand(Ensemble([box.module for box in apart.values()]), on.box)
    return {NOTHING: None, **apart, ENSEMBLE: together, SIBLING: in_the_hand(TARGETS[target], on)}


def run(folder: Path, images: int, only: str, attacks: tuple[str, ...]) -> None:
    """Every cell of these attacks that is missing, each to a file that is renamed into place."""
    folder.mkdir(parents=True, exist_ok=True)
    for target in (name for name in TARGETS if only in name):
        on = bench(target, images)
        priors = hands(target, on)
        pixels, labels = on.attacked.take(np.arange(len(on.attacked))), torch.from_numpy(on.attacked.labels)
        for attack, prior in planned(priors, ("transfer", "gfcs")):
            file = folder / f"{target}--{attack}--{prior}.json".replace("/", "_").replace(" ", "_")
            if file.exists() or attack not in attacks:
                continue
            clock, generator = time.process_time(), torch.Generator().manual_seed(0)
            options = QueryOptions(epsilon=EPSILON, max_queries=CAP)
            found = run_attack(attack, on.box.logits, pixels, labels, priors[prior], options, generator)
            cell = {
                "target": target, "attack": attack, "prior": prior, "rows": on.attacked.rows.tolist(),
                "queries": found.queries.tolist(), "success": found.success.tolist(),
                "cpu_seconds": round(time.process_time() - clock, 1),
            }  # fmt: skip
            partial = file.with_suffix(".partial")
            partial.write_text(json.dumps(cell))
            partial.replace(file)
            print(f"{file.stem}: {np.median(found.queries):g}, {cell['cpu_seconds']} CPU-s", flush=True)


def campaigns(folder: Path) -> dict[str, list[Campaign]]:
    """The finished cells of every target.

    Raises:
        NothingAssessedError: if there is none.
    """
    found: dict[str, list[Campaign]] = {}
    for file in sorted(folder.glob("*.json")):
        cell: dict[str, Any] = json.loads(file.read_text())
        nothing = torch.zeros(len(cell["rows"]), 1, 1, 1)
        result = QueryResult(nothing, np.array(cell["success"]), np.array(cell["queries"]))
        found.setdefault(cell["target"], []).append(Campaign(cell["attack"], cell["prior"], result))
    if not found:
        raise NothingAssessedError(f"{folder} holds no finished cell of this benchmark.")
    return found


def metrics(of: list[Campaign]) -> list[Metric]:
    """What the sibling adds to everything else, to each alternative, and what each attack takes."""
    others = [each for each in of if each.prior != SIBLING]
    found = list(gains(others, of, CAP, 0))
    for prior in dict.fromkeys(each.prior for each in others):
        one = using(of, [prior])
        having = [*one, *using(of, [SIBLING])]
        found += [
            metric.model_copy(update={"name": f"{metric.name} over {prior}"}) for metric in gains(one, having, CAP, 0)
        ]
    return found + [metric for each in of for metric in attack_metrics(each, CAP, 0)]


def evidence(folder: Path) -> Evidence:
    """The table ``gains``: a row for each target."""
    rows = {
        target: {
            metric.name: Number(
                value=metric.value, low=metric.interval.low, high=metric.interval.high, n=metric.n, how="bootstrap"
            )
            for metric in metrics(of)
            if metric.value is not None and metric.interval is not None
        }
        for target, of in campaigns(folder).items()
    }
    day = datetime.fromtimestamp(max(file.stat().st_mtime for file in folder.glob("*.json")), UTC).date()
    return Evidence(
        study="alternatives",
        date=day.isoformat(),
        source="benchmarks/siblings/alternatives.py",
        configuration=f"CIFAR-10, L2 ball of {EPSILON:g}, at most {CAP:,} questions an image (a failure counts as "
        "that), the same correctly classified images for all attacks; transfer followed by GFCS, GFCS alone, and "
        "Square; two independent networks, alone and together",
        tables={"gains": rows},
    )


def report(folder: Path) -> None:
    """The tables of docs/siblings.md, as Markdown."""
    print("| target | questions saved | times cheaper | more fall |\n|---|---|---|---|")
    for target, of in campaigns(folder).items():
        gained = gains([each for each in of if each.prior != SIBLING], of, CAP, 0)
        shown = [f"{m.value:.3g} ({m.interval.low:.3g} to {m.interval.high:.3g})" for m in gained if m.interval]
        print(f"| {target} | {' | '.join([shown[1], shown[0], shown[2]])} |")
    for target, of in campaigns(folder).items():
        print(f"\n{target}\n\n| in hand | attack | success | median |\n|---|---|---|---|")
        for each in of:
            success, median, _ = attack_metrics(each, CAP, 0)
            assert median.interval is not None
            bounds = f"{median.value:g} ({median.interval.low:g} to {median.interval.high:g})"
            print(f"| {each.prior} | {each.attack} | {success.value:.3f} | {bounds} |")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--only", default="")
    parser.add_argument("--attacks", nargs="+", default=["transfer", "gfcs", "square"])
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--evidence", type=Path)
    options = parser.parse_args()
    if not options.report and options.evidence is None:
        run(options.folder, options.images, options.only, tuple(options.attacks))
    if options.report:
        report(options.folder)
    if options.evidence is not None:
        write_evidence(options.evidence, evidence(options.folder))


if __name__ == "__main__":
    main()
