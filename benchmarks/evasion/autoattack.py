"""AutoAttack here and by its authors, image by image; the cheaper presets beside it.

    python -m benchmarks.evasion.autoattack [--images 25] [--queries 1000] [--case NAME NORM EPSILON ...] [--json FILE]

Networks are public ones that were trained to withstand attacks, loaded from ASSAY_MIRROR, with images from ASSAY_DATA.
The authors' package (github.com/fra31/auto-attack) is used if ``autoattack`` can be imported. One thread; CPU seconds;
passes and gradients are counted from outside, alike for all.
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
from assay.methods.evasion.autoattack import AutoAttack
from assay.methods.evasion.ball import Ball, Norm
from assay.targets.reference import load_target
from assay.targets.target import Target
from benchmarks.evasion.peers import right_images

CASES: list[tuple[str, Norm, float]] = [
    ("abcrown/cifar10-cnn-a-adv", "linf", 2 / 255),
    ("abcrown/mnist-cnn-a-adv", "linf", 0.2),
    ("locuslab/fashion-mnist-small", "linf", 0.1),
    ("locuslab/cifar10-l2-small", "l2", 0.25),
    ("abcrown/cifar10-cnn-a-adv", "l2", 0.25),
]


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


def compare(name: str, ball: Ball, images: int, queries: int) -> list[dict[str, Any]]:
    """One row for each contestant on one network."""
    target = load_target(name)
    clean, labels = right_images(target, images)
    assert target.module is not None
    rows, first = [], None
    for who, attack in contestants(queries).items():
        counted = Counted(target.module)
        start = time.process_time()
        found = attack(counted, clean, labels, ball).detach()
        seconds = time.process_time() - start
        size = ball.sizes(found - clean)
        assert float(size.max()) <= ball.epsilon * (1 + 1e-5), who
        fooled = target.logits(found.clamp(0, 1)).argmax(dim=1) != labels
        first = fooled if first is None else first
        row = {
            "network": name, "norm": ball.norm, "epsilon": round(ball.epsilon, 5), "images": len(labels), "who": who,
            "fooled": int(fooled.sum()), "more": int((fooled & ~first).sum()), "fewer": int((first & ~fooled).sum()),
            "passes": counted.passes, "gradients": counted.gradients, "seconds": round(seconds, 1),
        }  # fmt: skip
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=25, help="images that the network has right")
    parser.add_argument("--queries", type=int, default=1000, help="questions of the Square Attack (published: 5000)")
    parser.add_argument("--case", nargs=3, action="append", metavar=("NAME", "NORM", "EPSILON"), help="instead of all")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name, norm, epsilon in options.case or CASES:
        rows += compare(name, Ball(norm, float(epsilon)), options.images, options.queries)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
