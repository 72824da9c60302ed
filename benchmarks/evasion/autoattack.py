"""AutoAttack here and by its authors, image by image; the cheaper presets beside it.

    python -m benchmarks.evasion.autoattack FOLDER [--images 500] [--queries 1000] [--case NAME NORM EPSILON ...]
    python -m benchmarks.evasion.autoattack FOLDER --report

Networks are public ones that were trained to withstand attacks, loaded from ASSAY_MIRROR, with images from ASSAY_DATA.
The authors' package (github.com/fra31/auto-attack) is used if ``autoattack`` can be imported. One thread; CPU seconds;
passes and gradients are counted from outside, alike for all. Every block of 100 images of a contestant is one JSON file
in FOLDER: interrupt it at will, it goes on where it was.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from assay.access import WhiteBox
from assay.base.files import write_text
from assay.methods.evasion.autoattack import AutoAttack
from assay.methods.evasion.ball import Ball, Norm
from assay.targets.reference import load_target
from assay.targets.target import Target
from benchmarks.evasion.peers import right_images

CASES: list[tuple[str, Norm, float]] = [
    ("abcrown/cifar10-cnn-a-adv", "linf", 8 / 255),
    ("abcrown/mnist-cnn-a-adv", "linf", 0.3),
    ("locuslab/cifar10-l2-small", "l2", 1.0),
    ("locuslab/fashion-mnist-small", "linf", 0.15),
]
"""Sizes at which a good part of the images falls, and not to the first step."""

BLOCK = 100
"""Images that are attacked together, and whose results are one file."""


class Counted(torch.nn.Module):
    """A network that counts the images it is asked about, and those that a gradient is taken for."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module, self.passes, self.gradients = module, 0, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The network's logits."""
        self.passes += len(images)
        self.gradients += len(images) if images.requires_grad else 0
        logits: torch.Tensor = self.module(images)
        return logits


Attack = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor, Ball], torch.Tensor]


def ours(**options: Any) -> Attack:
    """Assay's ensemble with these options."""

    def run(module: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, ball: Ball) -> torch.Tensor:
        shape = (images.shape[1], images.shape[2], images.shape[3])
        box = WhiteBox(Target.from_module(module, input_shape=shape, num_classes=10))
        method = AutoAttack(norm=ball.norm, epsilons=(ball.epsilon,), **options)
        generator = torch.Generator().manual_seed(0)
        return next(iter(method.attack_sizes(box, images, labels, [ball], generator))).images

    return run


def authors(queries: int) -> Attack:
    """The published code, one restart each, as its standard version has it."""

    def run(module: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, ball: Ball) -> torch.Tensor:
        kind = importlib.import_module("autoattack").AutoAttack
        norm = {"linf": "Linf", "l2": "L2"}[ball.norm]
        attack = kind(module, norm=norm, eps=ball.epsilon, version="standard", device="cpu", verbose=False, seed=0)
        attack.square.n_queries = queries
        found: torch.Tensor = attack.run_standard_evaluation(images, labels, bs=len(images))
        return found

    return run


def contestants(queries: int) -> dict[str, Attack]:
    """By name: the published options here and there, and the presets."""
    found = {"assay, published options": ours(queries=queries)}
    if importlib.util.find_spec("autoattack") is not None:
        found["authors"] = authors(queries)
    for preset in ("standard", "quick"):
        options = {name: value for name, value in AutoAttack.presets[preset].items() if name != "max_images"}
        found[f"assay, {preset}"] = ours(**options)
    return found


def attacked(target: Target, ball: Ball, attack: Attack, clean: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    """Which of the images are fooled, and what it took."""
    assert target.module is not None
    counted = Counted(target.module)
    start = time.process_time()
    found = attack(counted, clean, labels, ball).detach()
    seconds = time.process_time() - start
    assert float(ball.sizes(found - clean).max()) <= ball.epsilon * (1 + 1e-5)
    fooled = target.logits(found.clamp(0, 1)).argmax(dim=1) != labels
    return {
        "fooled": fooled.int().tolist(), "passes": counted.passes, "gradients": counted.gradients,
        "seconds": round(seconds, 1),
    }  # fmt: skip


def run(folder: Path, cases: list[tuple[str, Norm, float]], images: int, queries: int) -> None:
    """Every block of every contestant that is missing, all contestants in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, norm, epsilon in cases:
        target, ball = load_target(name), Ball(norm, float(epsilon))
        clean, labels = right_images(target, images)
        for start in range(0, len(labels), BLOCK):
            part = slice(start, start + BLOCK)
            for who, attack in contestants(queries).items():
                about = {
                    "network": name, "norm": norm, "epsilon": round(ball.epsilon, 5), "queries": queries,
                    "who": who, "start": start,
                }  # fmt: skip
                file = folder / ("--".join(map(str, about.values())).replace("/", "_") + ".json")
                if not file.exists():
                    row: dict[str, Any] = about | attacked(target, ball, attack, clean[part], labels[part])
                    write_text(file, json.dumps(row))
                    print(file.name, sum(row["fooled"]), row["gradients"], row["seconds"], flush=True)


def report(folder: Path) -> None:
    """A line for each contestant on each network, over the images that all contestants attacked."""
    cells = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    print("| network | size | images | who | fooled | unlike the authors | gradients | CPU s |\n|" + "---|" * 8)
    for case in sorted({(cell["network"], cell["norm"], cell["epsilon"], cell["queries"]) for cell in cells}):
        mine = [c for c in cells if (c["network"], c["norm"], c["epsilon"], c["queries"]) == case]
        names = sorted({cell["who"] for cell in mine})
        whole = set.intersection(*({cell["start"] for cell in mine if cell["who"] == who} for who in names))
        rows = {who: [cell for cell in mine if cell["who"] == who and cell["start"] in whole] for who in names}
        flags = {
            who: {(cell["start"], n) for cell in found for n, flag in enumerate(cell["fooled"]) if flag}
            for who, found in rows.items()
        }
        count = sum(len(cell["fooled"]) for cell in rows[names[0]])
        most = sum(cell["gradients"] for cell in rows.get("authors", rows[names[0]]))
        for who, found in rows.items():
            theirs = flags.get("authors", flags[who])
            more, fewer = len(flags[who] - theirs), len(theirs - flags[who])
            gradients, seconds = (sum(cell[key] for cell in found) for key in ("gradients", "seconds"))
            print(
                f"| {case[0]} | {case[1]} {case[2]:g} | {count} | {who} | {len(flags[who])} "
                f"| +{more}, -{fewer} | {gradients:,} ({gradients / max(most, 1):.1%}) | {seconds:.0f} |"
            )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=500, help="images that the network has right")
    parser.add_argument("--queries", type=int, default=1000, help="questions of the Square Attack (published: 5000)")
    parser.add_argument("--case", nargs=3, action="append", metavar=("NAME", "NORM", "EPSILON"), help="instead of all")
    parser.add_argument("--report", action="store_true", help="print what the folder holds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.report:
        report(options.folder)
    else:
        run(options.folder, options.case or CASES, options.images, options.queries)


if __name__ == "__main__":
    main()
