"""Attacks by labels alone beside foolbox's HopSkipJump and SurFree's authors, on the same images at equal questions.

    ASSAY_DATA=... python -m benchmarks.evasion.labels [--images 60] [--steps 6 | --questions N] [--only NETWORK]

foolbox runs first, so many steps of its walk, and its questions are counted from outside; the others may then ask as
many about each image as it did in the mean. The authors' SurFree (github.com/t-maho/SurFree) runs if ASSAY_PEERS holds
a checkout, and does not round pixels. All but RayS start from the nearest other image.
Public networks that are cheap to ask, loaded from ASSAY_MIRROR. One thread.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.fft import idctn

from assay.access import Oracle, PosteriorStore, Serving
from assay.base.intervals import Floats
from assay.data.images import Subset
from assay.methods.evasion.ball import Ball, Norm, usual_epsilon
from assay.methods.evasion.label_only import HopSkipJump, LabelOnly
from assay.methods.evasion.minimum_norm import median_distance
from assay.methods.evasion.rays import RayS
from assay.methods.evasion.surfree import SurFree
from assay.methods.hop_skip_jump import nearest_of_another_label
from assay.methods.measures import proportion
from assay.methods.method import Context
from assay.targets.reference import load_target
from assay.targets.target import Target
from benchmarks.evasion.autoattack import Counted

NETWORKS = ("hyperparticle/cifar10-lenet", "abcrown/cifar10-cnn-a-adv", "locuslab/fashion-mnist-small")

OURS: dict[Norm, tuple[type[LabelOnly], ...]] = {"l2": (HopSkipJump, SurFree), "linf": (RayS,)}


def first_right(target: Target, most: int) -> Subset:
    """The first test images that the target classifies correctly."""
    images = target.splits.non_members
    assert images is not None
    count = min(len(images), 3 * most)
    right = target.logits(images.take(np.arange(count))).argmax(dim=1).numpy() == images.labels[:count]
    return Subset(images, np.flatnonzero(right)[:most])


def begun(part: Subset) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, their labels, and the nearest image of another class of each, where all walks but those of RayS begin."""
    images = part.take(np.arange(len(part)))
    start, _ = nearest_of_another_label(images, part.labels, part.labels)
    return images, torch.from_numpy(part.labels), images[start]


def foolbox(target: Target, part: Subset, norm: Norm, steps: int) -> tuple[Floats, float]:
    """Distances (n,) of foolbox's HopSkipJump, infinity where it failed, and its questions about an image."""
    library = importlib.import_module("foolbox")
    assert target.module is not None
    counted = Counted(target.module).eval()
    model = library.PyTorchModel(counted, bounds=(0, 1), device="cpu")
    attack = library.attacks.HopSkipJumpAttack(steps=steps, constraint=norm)
    images, labels, start = begun(part)
    torch.manual_seed(0)
    np.random.seed(0)
    _, found, _ = attack(model, images, labels, epsilons=None, starting_points=start)
    asked = counted.passes / len(part)
    found = torch.as_tensor(found).clamp(0, 1)
    sizes = Ball(norm, 0.0).sizes(found - images).double().numpy()
    return np.where((target.logits(found).argmax(dim=1) != labels).numpy(), sizes, np.inf), asked


def authors(target: Target, part: Subset, cap: int) -> tuple[Floats, float] | None:
    """The same of the published SurFree; none if there is no checkout."""
    checkout = Path(os.environ.get("ASSAY_PEERS", "peers")) / "SurFree"
    if not (checkout / "surfree.py").exists():
        return None
    sys.path.insert(0, str(checkout))
    images, labels, start = begun(part)
    torch.manual_seed(0)
    published = importlib.import_module("surfree")
    # The same transform: that of the checkout fails in the Fourier transform of some builds of torch.
    published.torch_dct.idct_2d = lambda a: torch.from_numpy(idctn(a.numpy(), axes=(-2, -1))).float()
    # Its last line search would answer with black images where the questions are spent.
    options = {"quantification": False, "final_line_search": False}
    attack = published.SurFree(steps=10**6, max_queries=cap - 2, **options)
    with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        found = attack(target.logits, images, labels, starting_points=start)
    sizes = Ball("l2", 0.0).sizes(found - images).double().numpy()
    wrong = (target.logits(found).argmax(dim=1) != labels).numpy()
    return np.where(wrong, sizes, np.inf), float(attack._nqueries.mean())


def ours(target: Target, part: Subset, kind: type[LabelOnly], cap: int) -> tuple[Floats, float]:
    """The same of ours. It does not end a walk early here: the size that is small enough is next to nothing."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        oracle = Oracle(target, Serving(output="label"), PosteriorStore(folder / "store", target.num_classes))
        context = Context(seed=0, device=torch.device("cpu"), artefacts=folder, shared=folder)
        before = oracle.ask_all(part, context.progress).labels
        method = kind(max_queries=cap, max_images=len(part))
        steps, spent = method.walk(oracle, part, before, 1e-9, context)
    return steps[-1][1], float(spent.mean())


def row(network: str, norm: Norm, who: str, distance: Floats, asked: float, seconds: float) -> dict[str, Any]:
    """Success at the usual size and the median distance, with 95 % intervals."""
    size = usual_epsilon(norm, 1 if "mnist" in network else 3)
    success, median = proportion("success", "", distance <= size + 1e-6), median_distance(distance, norm)
    bounds = [None if each.interval is None else (each.interval.low, each.interval.high) for each in (success, median)]
    return {
        "network": network, "norm": norm, "who": who, "images": len(distance), "asked": round(asked),
        "success": success.value, "success_interval": bounds[0], "median": median.value, "median_interval": bounds[1],
        "cpu_seconds": round(seconds, 1),
    }  # fmt: skip


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=60, help="images that the target has right")
    parser.add_argument("--steps", type=int, default=6, help="steps of foolbox's walk")
    parser.add_argument("--questions", type=int, help="questions about an image, without foolbox")
    parser.add_argument("--only", default="", help="networks whose name has this in it")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for network in (name for name in NETWORKS if options.only in name):
        target = load_target(network)
        part = first_right(target, options.images)
        for norm, kinds in OURS.items():
            found, asked = [], float(options.questions or 0)
            if not options.questions:
                clock = time.process_time()
                theirs, asked = foolbox(target, part, norm, options.steps)
                found.append(("foolbox HopSkipJump", theirs, asked, time.process_time() - clock))
            for kind in kinds:
                clock = time.process_time()
                distance, spent = ours(target, part, kind, round(asked))
                found.append((f"assay {kind.name}", distance, spent, time.process_time() - clock))
            clock = time.process_time()
            published = authors(target, part, round(asked)) if norm == "l2" else None
            if published is not None:
                found.append(("authors SurFree", *published, time.process_time() - clock))
            rows += [row(network, norm, *each) for each in found]
            print(*map(json.dumps, rows[-len(found) :]), sep="\n", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
