"""BASES with the public networks of CIFAR-10 in hand, on networks that are not among them.

    ASSAY_DATA=... python -m benchmarks.evasion.ensemble FOLDER [--images 200] [--only TARGET] [--cap 1000] [--kin]
    python -m benchmarks.evasion.ensemble FOLDER --report

Every cell (a target, a norm, any class or one drawn beforehand) is one JSON file in FOLDER: interrupt it at will, it
goes on where it was. No network of the target's own author is in hand, unless --kin says so; then all are but those
that were made from the target. ASSAY_MIRROR spares the downloads. One thread; five minutes of one core a cell.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assay.access import Published
from assay.base.files import write_text
from assay.methods.evasion.ball import Norm, usual_epsilon
from assay.methods.evasion.bases import BasesOptions, bases, wrong_classes
from assay.methods.evasion.results import query_metrics
from assay.methods.evasion.surrogates import Committee, public_networks
from assay.targets.reference import load_target, open_model
from benchmarks.evasion.peers import right_images

KIN: dict[str, tuple[str, ...]] = {
    "akamaster/cifar10-resnet20": (),
    "mlcommons/cifar10-resnet8-float": ("mlcommons/cifar10-resnet8", "mlcommons/cifar10-resnet8-int8"),
    "yizeng623/cifar10-cnn6": (),
    "mlcommons/cifar10-resnet-large-float": ("mlcommons/cifar10-resnet-large-int8",),
    "hyperparticle/cifar10-lenet": (),
}
"""The networks under attack, and those that were made from them, which the attacker does not have here."""

TWICE = (
    "mlcommons/cifar10-resnet-large-int8",
    "mlcommons/cifar10-resnet8-int8",
    "mlcommons/cifar10-resnet8-float",
)
"""Conversions of networks that are in hand as well: left out, for they add time and nothing else."""

NORMS: tuple[Norm, ...] = ("linf", "l2")


def committee(target: str, loaded: Any, kin: bool) -> Committee:
    """The public networks in hand against a target, with or without the others of its author."""
    author = target.split("/")[0] + "/"
    entries = [
        each.id
        for each in public_networks(loaded, 40)
        if each.id not in (*KIN[target], *TWICE) and (kin or not each.id.startswith(author))
    ]
    return Committee([Published(open_model(name).target) for name in entries[:20]])


def run(folder: Path, images: int, only: str, cap: int, kin: bool) -> None:
    """Every cell that is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (name for name in KIN if only in name):
        target = load_target(name)
        hand = committee(name, target, kin)
        pixels, labels = right_images(target, images)
        for targeted in (False, True):
            for norm in NORMS:
                about = [name.replace("/", "_"), norm, "drawn" if targeted else "any", *(["kin"] if kin else [])]
                file = folder / ("--".join(about) + ".json")
                if file.exists():
                    continue
                clock, generator = time.process_time(), torch.Generator().manual_seed(0)
                aims = wrong_classes(labels, target.num_classes, generator) if targeted else None
                options = BasesOptions(norm=norm, epsilon=usual_epsilon(norm, 3), max_queries=cap)
                found = bases(target.logits, pixels, labels, hand, options, generator, aims)
                cell = {
                    "target": name, "norm": norm, "epsilon": options.epsilon, "targeted": targeted, "cap": cap,
                    "kin": kin, "in_hand": len(hand.members),
                    "queries": found.queries.tolist(), "success": found.success.tolist(),
                    "gradients": hand.ledger.gradients, "cpu_seconds": round(time.process_time() - clock, 1),
                }  # fmt: skip
                hand.ledger.gradients = 0
                write_text(file, json.dumps(cell))
                print(row(cell), flush=True)


def row(cell: dict[str, Any]) -> str:
    """A line of the table, with 95 % intervals."""
    success, queries = np.array(cell["success"]), np.array(cell["queries"])
    named = {metric.name: metric for metric in query_metrics(success, queries, cell["cap"], 0)}
    shown = []
    for name, digits in (("success", "{:.3f}"), ("median_queries_all", "{:g}"), ("mean_queries_all", "{:.1f}")):
        metric = named[name]
        assert metric.value is not None
        assert metric.interval is not None
        low, high = (digits.format(bound) for bound in (metric.interval.low, metric.interval.high))
        shown.append(f"{digits.format(metric.value)} ({low} to {high})")
    hand = f"{cell['in_hand']}{', kin' if cell['kin'] else ''}"
    aim = "a class drawn" if cell["targeted"] else "any"
    return (
        f"| {cell['target']} | {cell['norm']} | {aim} | {hand} | {len(success)} | {' | '.join(shown)} "
        f"| {cell['cpu_seconds']:.0f} |"
    )


def report(folder: Path) -> None:
    """The table of docs/benchmarks/evasion.md."""
    print("| target | norm | class | in hand | images | success | median | mean | CPU s |\n|" + "---|" * 9)
    for file in sorted(folder.glob("*.json")):
        print(row(json.loads(file.read_text())))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=200, help="images that the target has right")
    parser.add_argument("--only", default="", help="targets whose name has this in it")
    parser.add_argument("--cap", type=int, default=1000, help="questions about an image at most")
    parser.add_argument("--kin", action="store_true", help="other networks of the target's author are in hand too")
    parser.add_argument("--report", action="store_true", help="print what the folder holds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.report:
        report(options.folder)
    else:
        run(options.folder, options.images, options.only, options.cap, options.kin)


if __name__ == "__main__":
    main()
