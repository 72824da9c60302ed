"""Membership scores beside published implementations: equal results first, then CPU seconds and peak memory.

    python -m benchmarks.membership.peers [CONTEST ...] --peers FOLDER [--art-python PYTHON]

FOLDER holds the peers' checkouts (see `published`; ASSAY_PEERS names it too); PYTHON is an interpreter that has ART
(or ASSAY_ART_PYTHON). Peers that are not there are skipped by name. One thread, one process per contestant, one after
the other. The arrays are synthetic, drawn from a seed; none of their values is evidence of anything.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]
CLASSES = 10
WORKER = Path(__file__).with_name("contestants.py")
PINNED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {"TQDM_DISABLE": "1"}


class Contest(NamedTuple):
    """The arrays of a given generator and size, the contestants (ours first), and how far results may be apart.

    An AUC may be above the peer's as far as it likes, and below by ``apart``.
    """

    arrays: Callable[[np.random.Generator, float], Arrays]
    ours: tuple[str, ...]
    peer: str
    goal: str
    apart: float = 1e-9
    several_seeds: bool = False


def symmetric_shadows(random: np.random.Generator, size: float) -> Arrays:
    """50,000 examples, 64 models, values symmetric around each example's middle.

    LeakPro fits the mean and LiRA's authors (and Assay) the median: here both are the same.
    """
    examples, half = int(50_000 * size), 16
    inside = np.argsort(random.random((64, examples)), axis=0) < 2 * half
    shadows = np.empty((64, examples))
    for kind, pull in ((inside, 2.0), (~inside, 0.0)):
        away = random.normal(0, 1, (half, examples))
        middle = random.normal(pull, 2, examples)
        rows = np.argsort(~kind, axis=0, kind="stable")[: 2 * half]
        np.put_along_axis(shadows, rows, middle + np.concatenate([away, -away]), axis=0)
    return {"shadows": shadows, "inside": inside, "target": random.normal(1, 2, examples)}


def shadows_of_two_queries(random: np.random.Generator, size: float) -> Arrays:
    """50,000 examples, 64 models, two augmented queries."""
    examples = int(50_000 * size)
    inside = np.argsort(random.random((64, examples)), axis=0) < 32
    shadows = random.normal(0, 1, (64, examples, 2)) + 2 * inside[:, :, None]
    return {"shadows": shadows, "inside": inside, "target": random.normal(1, 2, (examples, 2))}


def logits_and_population(random: np.random.Generator, size: float) -> Arrays:
    """Logits of 50,000 examples from a target and 4 shadow models, and probabilities of a population of 25,000."""
    examples, population = int(50_000 * size), int(25_000 * size)
    labels = random.integers(0, CLASSES, examples)
    inside = np.argsort(random.random((4, examples)), axis=0) < 2
    logits = random.normal(0, 2, (5, examples, CLASSES))
    logits[:, np.arange(examples), labels] += 4
    given = random.beta(5, 1, population)
    return {
        "labels": labels, "inside": inside, "target": logits[0], "shadows": logits[1:],
        "z_given": given, "z_marginal": np.clip(given + random.normal(0, 0.05, population), 0.01, 1),
    }  # fmt: skip


def paired_models(random: np.random.Generator, size: float) -> Arrays:
    """Probabilities of 20,000 examples and a population of 10,000 from 5 pairs of models, trained on complements."""
    examples, population, pairs = int(20_000 * size), int(10_000 * size), 5
    half = random.random((examples, pairs)) < 0.5
    inside = np.stack([half, ~half], axis=2).reshape(examples, 2 * pairs)

    def signals(count: int, trained: np.ndarray | float) -> np.ndarray:
        ease = random.beta(2, 1, (count, 1))
        return np.clip(ease + 0.15 * trained + random.normal(0, 0.05, (count, 2 * pairs)), 0.01, 1)

    return {"signals": signals(examples, inside), "population": signals(population, 0.0), "inside": inside}


def answers(random: np.random.Generator, count: int, pull: float) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors and labels of a model that favours the label by about so much."""
    labels = random.integers(0, CLASSES, count)
    logits = random.normal(0, 1, (count, CLASSES))
    logits[np.arange(count), labels] += random.normal(pull, 2, count)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True), labels


def four_parts(each: int, dtype: type) -> Callable[[np.random.Generator, float], Arrays]:
    """Members and non-members to learn from, members and non-members to judge."""

    def arrays(random: np.random.Generator, size: float) -> Arrays:
        made: Arrays = {}
        for part in range(4):
            posteriors, labels = answers(random, int(each * size), 4.0 if part % 2 else 6.0)
            made |= {f"posteriors_{part}": posteriors.astype(dtype), f"labels_{part}": labels}
        return made

    return arrays


CONTESTS = {
    "lira": Contest(symmetric_shadows, ("ours lira",), "LeakPro lira", "at least 60 times"),
    "lira-2-queries": Contest(shadows_of_two_queries, ("ours lira",), "authors lira", "none"),
    "rmia": Contest(logits_and_population, ("ours rmia",), "LeakPro rmia", "none"),
    "rmia-tuned": Contest(
        paired_models, ("ours tuned rmia",), "privacy_meter tuned rmia", "at least 100 times, below 100 MB"
    ),
    "thresholds": Contest(four_parts(25_000, float), ("ours thresholds",), "authors thresholds", "none"),
    "mlp": Contest(
        four_parts(10_000, np.float32),
        ("ours mlp", "ours mlp, batches of 100", "ours mlp, batches of 100, 100 epochs"),
        "ART mlp", "at least 8 times", apart=0.005, several_seeds=True,
    ),
    "mlp-labels": Contest(
        four_parts(10_000, np.float32), ("ours mlp with correctness",), "ART mlp with labels", "none",
        apart=0.005, several_seeds=True,
    ),
}  # fmt: skip


class Run(NamedTuple):
    """What one contestant made of the arrays: results, CPU seconds of each repetition, megabytes above the inputs."""

    found: Arrays
    seconds: list[float]
    megabytes: float


def run(name: str, arrays: Path, repeats: int, options: argparse.Namespace) -> Run:
    """One contestant in a process of its own.

    Raises:
        LookupError: if it is not there, or fails; the message says why.
        OSError: if its interpreter is not there.
    """
    python = options.art_python if name.startswith("ART") else sys.executable
    result = arrays / "result.npz"
    done = subprocess.run(
        [python, WORKER, name, arrays, result, str(repeats), options.peers],
        env=os.environ | PINNED | {"PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise LookupError(done.stderr.strip().splitlines()[-1])
    with np.load(result) as found:
        return Run(dict(found), **json.loads(done.stdout.splitlines()[-1]))


def furthest(ours: Arrays, theirs: Arrays) -> float:
    """The largest difference of all results; of AUC, how far ours falls short (below 0: it is higher)."""
    if "auc" in theirs:
        return float(theirs["auc"] - ours["auc"])
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in theirs)


def hold(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One contest: a row for each contestant, the peer last; prints as it goes."""
    contest = CONTESTS[name]
    repeats = 1 if contest.several_seeds else options.repeats
    runs: dict[str, list[Run]] = {who: [] for who in (contest.peer, *contest.ours)}
    for seed in range(options.seeds if contest.several_seeds else 1):
        with tempfile.TemporaryDirectory() as folder:
            made = contest.arrays(np.random.default_rng(seed), options.size) | {"seed": np.array(seed)}
            for key, value in made.items():
                np.save(Path(folder) / f"{key}.npy", value)
            del made
            for who, done in runs.items():
                try:
                    done.append(run(who, Path(folder), repeats, options))
                except (LookupError, OSError) as error:
                    print(f"  skipped: {who}: {error}", flush=True)
                    return []
                if contest.several_seeds:
                    found = {key: value.tolist() for key, value in done[-1].found.items()}
                    print(f"  seed {seed}: {who}: {done[-1].seconds[0]:.1f} s {found}", flush=True)
    theirs = runs.pop(contest.peer)
    rows = []
    for who, ours in runs.items():
        differences = [furthest(a.found, b.found) for a, b in zip(ours, theirs, strict=True)]
        if who == contest.ours[0] and max(differences) > contest.apart:
            raise SystemExit(f"{name}: {who} and {contest.peer} are {max(differences):g} apart; nothing is compared.")
        rows.append(summary(name, who, ours) | {"largest_difference": max(differences)})
    rows.append(summary(name, contest.peer, theirs))
    for row in rows:
        row["peer_over_this"] = rows[-1]["cpu_seconds"] / row["cpu_seconds"]
        if "auc" in theirs[0].found:
            row["mean_auc"] = float(np.mean([one.found["auc"] for one in runs.get(row["contestant"], theirs)]))
    return rows


def summary(name: str, who: str, done: list[Run]) -> dict[str, Any]:
    """The median of CPU seconds and the largest memory."""
    seconds = [second for one in done for second in one.seconds]
    return {
        "contest": name,
        "contestant": who,
        "cpu_seconds": statistics.median(seconds),
        "cpu_seconds_range": [min(seconds), max(seconds)],
        "megabytes": max(one.megabytes for one in done),
    }


def show(row: dict[str, Any], goal: str) -> str:
    """A line of the table."""
    low, high = row["cpu_seconds_range"]
    line = (
        f"  {row['contestant']:38} {row['cpu_seconds']:9.3f} s ({low:.3f} to {high:.3f}) {row['megabytes']:8.1f} MB"
        f"  x {row['peer_over_this']:.1f}"
    )
    if "mean_auc" in row:
        line += f"  AUC {row['mean_auc']:.4f}"
    if "largest_difference" in row:
        line += f"  largest difference {row['largest_difference']:.2g}; goal: {goal}"
    return line


def main() -> None:
    """Hold the contests that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contests", nargs="*", help=f"{', '.join(CONTESTS)}; all if none is named")
    parser.add_argument("--peers", default=os.environ.get("ASSAY_PEERS", "peers"), help="folder of checkouts")
    parser.add_argument("--art-python", default=os.environ.get("ASSAY_ART_PYTHON", sys.executable))
    parser.add_argument("--repeats", type=int, default=5, help="runs of each contestant; the median counts")
    parser.add_argument("--seeds", type=int, default=5, help="of the learned attack")
    parser.add_argument("--size", type=float, default=1.0, help="a fraction of all array sizes, to try it out")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    if unknown := set(options.contests) - set(CONTESTS):
        parser.error(f"no contest {', '.join(sorted(unknown))}; there are {', '.join(CONTESTS)}")
    rows = []
    for name in options.contests or CONTESTS:
        print(f"{name}: CPU seconds, median and range; peak memory above inputs; peer's seconds over these", flush=True)
        found = hold(name, options)
        for row in found:
            print(show(row, CONTESTS[name].goal), flush=True)
        rows += found
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
