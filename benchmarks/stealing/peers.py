"""Model stealing beside ART and ML-Doctor: images asked, agreement, CPU seconds and memory at one budget.

    ASSAY_PEERS=peers python -m benchmarks.stealing.peers [CONTEST ...] [--seeds 3] [--json FILE]

The victim is the public ResNet-20, the images are CIFAR-10's (ASSAY_DATA, ASSAY_MIRROR). Every contestant is given the
same pool, architecture, epochs, batches and optimiser, and is counted from outside: by the victim's own forward pass.
Each run is a process of its own with one thread; what is timed is the attack alone, and every copy is judged here, on
the same test images. A peer that is not there is skipped by name. Linux only (memory is read from ``/proc``).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from assay.access import Oracle, PosteriorStore, Serving
from assay.base.intervals import bootstrap
from assay.data.images import Subset
from assay.data.splits import Splits
from assay.methods.method import Context
from assay.methods.stealing.surrogate import load_surrogate
from assay.methods.stealing.theft import Theft
from assay.targets.architectures import build
from assay.targets.reference import load_target
from assay.targets.target import Target
from benchmarks.evasion.peers import Counted
from benchmarks.membership import published
from benchmarks.membership.contestants import forget_peak, memory

ARCHITECTURE, EPOCHS, BATCH, RATE = "tiny-cnn", 10, 64, 0.002
TEST = 1_000
CLASSES = 10

Stolen = Callable[[torch.Tensor], torch.Tensor]
"""Images in [0, 1] to the copy's logits."""


class Job(NamedTuple):
    """What a contestant is given. ``labels`` are the pool's true ones, which only ART's adaptive strategy sees."""

    victim: Counted
    shape: tuple[int, int, int]
    pool: torch.Tensor
    labels: np.ndarray
    splits: Splits
    budget: int
    seed: int
    folder: Path


def ours(**options: Any) -> Callable[[Job], Stolen]:
    """Assay's composed theft; it judges its copy on a single image, as it cannot do without."""

    def run(job: Job) -> Stolen:
        target = Target.from_module(job.victim, input_shape=job.shape, num_classes=CLASSES)
        job.victim.asked = 0  # two grey images show that a network fits
        oracle = Oracle(target, Serving(), PosteriorStore(job.folder / "posteriors", CLASSES))
        theft = Theft(
            architecture=ARCHITECTURE, budget=job.budget, epochs=EPOCHS, batch_size=BATCH, optimiser="adam",
            learning_rate=RATE, weight_decay=0.0, schedule="constant", test_images=1, **options,
        )  # fmt: skip
        theft.run(oracle, job.splits, Context(job.seed, torch.device("cpu"), job.folder, job.folder))
        job.victim.asked -= 1
        assert job.victim.asked == oracle.ledger.images == job.budget
        return load_surrogate(job.folder)[0]

    return run


def art(strategy: str, *, soft: bool) -> Callable[[Job], Stolen]:
    """ART's KnockoffNets in batches, not one by one as by default; posteriors where the strategy can use them."""

    def run(job: Job) -> Stolen:
        from art.attacks.extraction import KnockoffNets
        from art.estimators.classification import PyTorchClassifier

        module = build(ARCHITECTURE, CLASSES, job.shape)
        common: dict[str, Any] = {
            "loss": torch.nn.CrossEntropyLoss(), "input_shape": job.shape, "nb_classes": CLASSES,
            "clip_values": (0.0, 1.0), "device_type": "cpu",
        }  # fmt: skip
        answering = torch.nn.Sequential(job.victim, torch.nn.Softmax(dim=1)) if soft else job.victim
        victim = PyTorchClassifier(model=answering, **common)
        thief = PyTorchClassifier(model=module, optimizer=adam(module), **common)
        attack = KnockoffNets(
            victim, batch_size_fit=BATCH, batch_size_query=BATCH, nb_epochs=EPOCHS, nb_stolen=job.budget,
            sampling_strategy=strategy, use_probability=soft, verbose=False,
        )  # fmt: skip
        attack.extract(job.pool.numpy(), job.labels if strategy == "adaptive" else None, thieved_classifier=thief)
        return module.eval()

    return run


def ml_doctor(*, questions: bool) -> Callable[[Job], Stolen]:
    """ML-Doctor's ModSteal with the optimiser of its own demonstration (with `adam` its copies stay at chance).

    The budget counts the different images, or with ``questions`` every image that it asks about.
    """

    def run(job: Job) -> Stolen:
        stealing = published.ml_doctor(Path(os.environ["ASSAY_PEERS"]))
        images = job.budget // EPOCHS if questions else job.budget
        dataset = torch.utils.data.TensorDataset(job.pool[:images], torch.from_numpy(job.labels[:images]))
        loader = torch.utils.data.DataLoader(dataset, BATCH, shuffle=True)
        module = build(ARCHITECTURE, CLASSES, job.shape)
        optimiser = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
        weights = job.folder / "target.pth"
        torch.save(job.victim.state_dict(), weights)
        attack = stealing.train_steal_model(
            loader, None, job.victim, module, weights, None, "cpu", BATCH, torch.nn.MSELoss(), optimiser
        )
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            for _ in range(EPOCHS):
                attack.train_with_same_distribution()
        return module.eval()

    return run


def adam(module: torch.nn.Module) -> torch.optim.Optimizer:
    """The optimiser of Assay and ART."""
    return torch.optim.Adam(module.parameters(), lr=RATE)


class Contest(NamedTuple):
    """Contestants by name; the first is Assay's. The pool holds so many images."""

    budget: int
    pool: int
    contestants: dict[str, Callable[[Job], Stolen]]


CONTESTS = {
    "random": Contest(
        1_000,
        1_000,
        {
            "assay": ours(strategy="random", learner="soft"),
            "art": art("random", soft=True),
            "ml-doctor": ml_doctor(questions=False),
            "ml-doctor, as many questions": ml_doctor(questions=True),
        },
    ),
    "adaptive": Contest(
        300,
        4_000,
        {
            "assay, labels": ours(strategy="knockoff", learner="hard"),
            "assay, posteriors": ours(strategy="knockoff", learner="soft"),
            "art": art("adaptive", soft=False),
            "assay, random": ours(strategy="random", learner="hard"),
        },
    ),
}


def present(name: str) -> bool:
    """Whether a contestant is there."""
    if name.startswith("ml-doctor"):
        return (Path(os.environ.get("ASSAY_PEERS", "peers")) / published.ML_DOCTOR).exists()
    return name != "art" or importlib.util.find_spec("art") is not None


def measure(target: Target, contest: Contest, name: str, seed: int, sending: Any) -> None:
    """One run, in its own process: images asked, seconds, memory, and on which test images the copy agrees."""
    assert target.module is not None
    assert target.splits.auxiliary is not None
    assert target.splits.non_members is not None
    torch.manual_seed(seed)
    np.random.seed(seed)
    rows = np.random.default_rng(seed).permutation(len(target.splits.auxiliary))[: contest.pool]
    pool = Subset(target.splits.auxiliary, rows)
    images, test = pool.take(np.arange(len(pool))), target.splits.non_members
    with tempfile.TemporaryDirectory() as folder:
        splits = Splits(None, test, pool)
        shape = target.input_shape
        job = Job(Counted(target.module), shape, images, pool.labels, splits, contest.budget, seed, Path(folder))
        if name == "art":
            import art.attacks.extraction
            import art.estimators.classification  # noqa: F401  (importing is not timed)
        warm_up(target, images[:BATCH])
        forget_peak()
        before, start = memory("VmRSS"), time.process_time()
        stolen = contest.contestants[name](job)
        seconds, peak = time.process_time() - start, memory("VmHWM")
    shown = test.take(np.arange(min(TEST, len(test))))
    with torch.no_grad():
        same = (stolen(shown).argmax(dim=1) == target.logits(shown).argmax(dim=1)).numpy()
    sending.send({"asked": job.victim.asked, "seconds": seconds, "megabytes": (peak - before) / 1e6, "same": same})


def warm_up(target: Target, images: torch.Tensor) -> None:
    """What a process pays once, whoever's code it runs: a forward pass, a backward pass and an optimiser step."""
    target.logits(images)
    module = build(ARCHITECTURE, CLASSES, target.input_shape)
    module(images).sum().backward()
    adam(module).step()


def run(target: Target, contest: Contest, name: str, seed: int) -> dict[str, Any]:
    """`measure` in a process of its own."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=measure, args=(target, contest, name, seed, sending))
    process.start()
    sending.close()
    try:
        found: dict[str, Any] = receiving.recv()
    finally:
        process.join()
    return found


def hold(name: str, seeds: Sequence[int], target: Target) -> list[dict[str, Any]]:
    """Every contestant of a contest in turn, once a seed; rows to print."""
    contest = CONTESTS[name]
    absent = [who for who in contest.contestants if not present(who)]
    if absent:
        print(f"not there: {', '.join(absent)}", flush=True)
    runs: dict[str, list[dict[str, Any]]] = {who: [] for who in contest.contestants if who not in absent}
    for seed in seeds:
        for who, found in runs.items():
            found.append(run(target, contest, who, seed))
            print(name, seed, who, round(found[-1]["seconds"], 1), found[-1]["same"].mean(), flush=True)
    ours_same = np.stack([found["same"] for found in next(iter(runs.values()))], axis=1)
    rows = []
    for who, found in runs.items():
        same = np.stack([one["same"] for one in found], axis=1)
        better = ours_same.astype(float).mean(axis=1) - same.mean(axis=1)
        bounds = bootstrap(lambda values: values.mean(axis=1), better, seed=0)
        rows.append(
            {
                "contest": name, "who": who, "budget": contest.budget, "asked": [one["asked"] for one in found],
                "agreement": [round(float(share), 4) for share in same.mean(axis=0)],
                "assay_ahead_by": round(float(better.mean()), 4),
                "interval": [round(bounds.low, 4), round(bounds.high, 4)],
                "seconds": [round(one["seconds"], 2) for one in found],
                "megabytes": [round(one["megabytes"]) for one in found],
            }
        )  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("contests", nargs="*", help=f"of {', '.join(CONTESTS)}; all if none is named")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each contestant")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    if unknown := set(options.contests) - set(CONTESTS):
        parser.error(f"no contest {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    target, rows = load_target("akamaster/cifar10-resnet20"), []
    for contest in options.contests or CONTESTS:
        rows += hold(contest, range(options.seeds), target)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
