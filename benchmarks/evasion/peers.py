"""Evasion attacks beside torchattacks, foolbox and ART: equal success first, then CPU seconds.

    python -m benchmarks.evasion.peers [CONTEST ...] [--images 100] [--repeats 3] [--json FILE]

It runs in an environment that has Assay and the peers (those that are not there are skipped by name) and needs the
public ResNet-20, ResNet-32 and the CIFAR-10 test images that ASSAY_DATA and ASSAY_MIRROR hold. One thread, one process,
contestants in turn, so that the load of the machine meets all of them. ``--store`` writes instead what the peers make
of the packaged digits, for the ordinary tests.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from assay.access import WhiteBox
from assay.methods.evasion.ascent import pgd
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.gradients import fgsm_step, loss_gradient
from assay.methods.evasion.greedy import GreedyOptions, gfcs
from assay.methods.evasion.losses import cross_entropy
from assay.methods.evasion.prior_guided import RgfOptions, p_rgf
from assay.methods.evasion.square import SquareOptions, square
from assay.targets.reference import load_target
from assay.targets.target import Target

STORED = Path(__file__).parents[2] / "tests" / "methods" / "evasion" / "parity.json"
EPSILON = 8 / 255
PGD_STEPS, PGD_STEP = 10, 0.25
QUERIES = 300


class Job(NamedTuple):
    """What every contestant is given: a target whose network counts its images, and images that it has right."""

    target: Target
    images: torch.Tensor
    labels: torch.Tensor
    epsilon: float
    seed: int = 0


class Counted(torch.nn.Module):
    """A network that counts the images it is asked about."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module, self.asked = module, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The network's logits."""
        self.asked += len(images)
        logits: torch.Tensor = self.module(images)
        return logits


Attack = Callable[[Job], torch.Tensor]


def ours_fgsm(job: Job) -> torch.Tensor:
    """Assay's FGSM."""
    ball = Ball("linf", job.epsilon)
    return fgsm_step(job.images, loss_gradient(WhiteBox(job.target), job.images, job.labels), ball)


def ours_pgd(norm: Any) -> Attack:
    """Assay's PGD, from the image itself."""

    def run(job: Job) -> torch.Tensor:
        ball = Ball(norm, job.epsilon)
        return pgd(
            WhiteBox(job.target), job.images, job.labels, ball,
            start=job.images, steps=PGD_STEPS, step=PGD_STEP, loss=cross_entropy,
        )  # fmt: skip

    return run


def ours_square(job: Job) -> torch.Tensor:
    """Assay's Square Attack."""
    options = SquareOptions(norm="linf", epsilon=job.epsilon, max_queries=QUERIES)
    generator = torch.Generator().manual_seed(job.seed)
    with torch.no_grad():
        return square(job.target.module, job.images, job.labels, options, generator).adversarial


def of_torchattacks(name: str, stepping: bool = False, **options: Any) -> Attack:
    """An attack of torchattacks."""

    def run(job: Job) -> torch.Tensor:
        kind = getattr(importlib.import_module("torchattacks"), name)
        more = {"alpha": PGD_STEP * job.epsilon, "steps": PGD_STEPS, "random_start": False} if stepping else {}
        if name == "Square":
            more = {"seed": job.seed}
        found: torch.Tensor = kind(job.target.module, eps=job.epsilon, **more, **options)(job.images, job.labels)
        return found

    return run


def of_foolbox(name: str, stepping: bool = False) -> Attack:
    """An attack of foolbox."""

    def run(job: Job) -> torch.Tensor:
        foolbox = importlib.import_module("foolbox")
        more: dict[str, Any] = {"random_start": False}
        if stepping:
            more |= {"abs_stepsize": PGD_STEP * job.epsilon, "steps": PGD_STEPS}
        model = foolbox.PyTorchModel(job.target.module, bounds=(0, 1), device="cpu")
        _, found, _ = getattr(foolbox.attacks, name)(**more)(model, job.images, job.labels, epsilons=job.epsilon)
        return torch.as_tensor(found)

    return run


def of_art(name: str, stepping: bool = False, **options: Any) -> Attack:
    """An attack of ART."""

    def run(job: Job) -> torch.Tensor:
        estimators = importlib.import_module("art.estimators.classification")
        kind = getattr(importlib.import_module("art.attacks.evasion"), name)
        model = estimators.PyTorchClassifier(
            model=job.target.module, loss=torch.nn.CrossEntropyLoss(), input_shape=job.target.input_shape,
            nb_classes=job.target.num_classes, clip_values=(0.0, 1.0), device_type="cpu",
        )  # fmt: skip
        more: dict[str, Any] = {"batch_size": len(job.images), "eps": job.epsilon}
        if stepping:
            more |= {"eps_step": PGD_STEP * job.epsilon, "max_iter": PGD_STEPS, "num_random_init": 0, "verbose": False}
        np.random.seed(job.seed)
        labels = np.eye(job.target.num_classes, dtype=np.float32)[job.labels.numpy()]
        return torch.from_numpy(kind(model, **more, **options).generate(job.images.numpy(), labels))

    return run


CONTESTS: dict[str, dict[str, Attack]] = {
    "fgsm": {
        "assay": ours_fgsm,
        "torchattacks": of_torchattacks("FGSM"),
        "foolbox": of_foolbox("LinfFastGradientAttack"),
        "art": of_art("FastGradientMethod"),
    },
    "pgd": {
        "assay": ours_pgd("linf"),
        "torchattacks": of_torchattacks("PGD", stepping=True),
        "foolbox": of_foolbox("LinfPGD", stepping=True),
        "art": of_art("ProjectedGradientDescent", stepping=True),
    },
    "pgd_l2": {
        "assay": ours_pgd("l2"),
        "torchattacks": of_torchattacks("PGDL2", stepping=True),
        "foolbox": of_foolbox("L2PGD", stepping=True),
        "art": of_art("ProjectedGradientDescent", stepping=True, norm=2),
    },
    "square": {
        "assay": ours_square,
        "torchattacks": of_torchattacks("Square", norm="Linf", n_queries=QUERIES, p_init=0.8, loss="margin"),
        "art": of_art("SquareAttack", norm=np.inf, max_iter=QUERIES, p_init=0.8, nb_restarts=1, verbose=False),
    },
}
EPSILONS = {"pgd_l2": (0.1, 0.25)}
"""Besides `EPSILON` and 2/255, at which some images stand."""

DIGITS = {"fgsm": (0.05, 0.1, 0.2), "pgd": (0.05, 0.1), "pgd_l2": (0.3, 0.6)}


def right_images(target: Target, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first test images that the target classifies correctly, and their labels."""
    assert target.splits.non_members is not None
    count = min(len(target.splits.non_members), 2 * most)
    images = target.splits.non_members.take(np.arange(count))
    labels = torch.from_numpy(target.splits.non_members.labels[:count])
    rows = torch.nonzero(target.logits(images).argmax(dim=1) == labels)[:most, 0]
    return images[rows], labels[rows]


def fooled(job: Job, found: torch.Tensor, norm: str) -> torch.Tensor:
    """Which images are misclassified (n,), after a check that all are within epsilon and in [0, 1]."""
    change = (found - job.images).flatten(1)
    size = change.norm(dim=1) if norm == "l2" else change.abs().amax(dim=1)
    assert float(size.max()) <= job.epsilon + 1e-5
    assert float(found.min()) >= -1e-6
    assert float(found.max()) <= 1 + 1e-6
    return job.target.logits(found.clamp(0, 1)).argmax(dim=1) != job.labels


def present(name: str) -> bool:
    """Whether a contestant can be imported."""
    return name == "assay" or importlib.util.find_spec(name) is not None


def measure(job: Job, attack: Attack, norm: str) -> dict[str, Any]:
    """Success, images asked and CPU seconds of one run."""
    counted = Counted(job.target.module)
    watched = job._replace(target=Target.from_module(counted, input_shape=job.target.input_shape, num_classes=10))
    counted.asked = 0
    start = time.process_time()
    found = attack(watched).detach()
    seconds = time.process_time() - start
    asked = counted.asked
    return {"success": fooled(job, found, norm), "asked": asked, "seconds": seconds}


def hold(contest: str, options: argparse.Namespace, target: Target) -> list[dict[str, Any]]:
    """Every contestant in turn, so many times; rows to print."""
    images, labels = right_images(target, options.images)
    norm, rows = "l2" if contest == "pgd_l2" else "linf", []
    for epsilon in EPSILONS.get(contest, (2 / 255, EPSILON) if contest != "square" else (EPSILON,)):
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTS[contest] if present(name)}
        for repeat in range(options.repeats):
            for name, found in runs.items():
                if contest == "square" and name == "art" and repeat:
                    continue
                job = Job(target, images, labels, epsilon, seed=repeat)
                found.append(measure(job, CONTESTS[contest][name], norm))
        for name, found in runs.items():
            pairs = zip(found, runs["assay"], strict=False)
            seconds = [run["seconds"] for run in found]
            row = {
                "contest": contest, "epsilon": round(epsilon, 5), "who": name, "runs": len(found),
                "success": [round(float(run["success"].float().mean()), 4) for run in found],
                "unlike_assay": [int((theirs["success"] ^ ours["success"]).sum()) for theirs, ours in pairs],
                "asked": [run["asked"] for run in found],
                "seconds": [round(second, 2) for second in seconds], "median": round(statistics.median(seconds), 2),
            }  # fmt: skip
            print(json.dumps(row), flush=True)
            rows.append(row)
    return rows


def priors(options: argparse.Namespace, target: Target) -> list[dict[str, Any]]:
    """P-RGF and GFCS at L2 0.5 and 1,000 questions, with and without surrogates."""
    images, labels = right_images(target, options.prior_images)
    boxes = {
        "none": None,
        "resnet32": WhiteBox(load_target("akamaster/cifar10-resnet32")),
        "itself": WhiteBox(target),
    }
    rows = []
    for attack, call, given in (("p_rgf", p_rgf, RgfOptions()), ("gfcs", gfcs, GreedyOptions())):
        for name, box in boxes.items():
            start = time.process_time()
            found = call(target.logits, images, labels, box, given, torch.Generator().manual_seed(0))
            queries, capped = found.queries[found.success], np.where(found.success, found.queries, given.max_queries)
            row = {
                "contest": "priors", "who": attack, "prior": name, "success": round(float(found.success.mean()), 3),
                "median": float(np.median(queries)), "mean": round(float(queries.mean()), 1),
                "median_all": float(np.median(capped)), "mean_all": round(float(capped.mean()), 1),
                "seconds": round(time.process_time() - start, 1),
            }  # fmt: skip
            print(json.dumps(row), flush=True)
            rows.append(row)
    return rows


def digits() -> tuple[Target, torch.Tensor, torch.Tensor]:
    """The packaged network and images for the ordinary tests."""
    target = load_target("starter/digits-cnn")
    return target, *right_images(target, 60)


def store() -> None:
    """Write which digits each peer fools."""
    target, images, labels = digits()
    kept: dict[str, dict[str, list[int]]] = {}
    for contest, epsilons in DIGITS.items():
        for epsilon in epsilons:
            job = Job(target, images, labels, epsilon)
            kept[f"{contest} {epsilon:g}"] = {
                name: fooled(job, attack(job), "l2" if contest == "pgd_l2" else "linf").int().tolist()
                for name, attack in CONTESTS[contest].items()
                if name != "assay"
            }
    STORED.write_text(json.dumps(kept, separators=(",", ":")).replace("},", "},\n") + "\n")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("contests", nargs="*", help=f"of {', '.join(CONTESTS)}, priors; all if none is named")
    parser.add_argument("--images", type=int, default=100, help="images that the target has right")
    parser.add_argument("--prior-images", type=int, default=40, help="the same, for priors")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contestant (ART's Square: one)")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    parser.add_argument("--store", action="store_true", help="write the peers' results on the packaged digits")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.store:
        return store()
    if unknown := set(options.contests) - {*CONTESTS, "priors"}:
        parser.error(f"no contest {', '.join(sorted(unknown))}")
    target, rows = load_target("akamaster/cifar10-resnet20"), []
    for contest in options.contests or [*CONTESTS, "priors"]:
        rows += priors(options, target) if contest == "priors" else hold(contest, options, target)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
