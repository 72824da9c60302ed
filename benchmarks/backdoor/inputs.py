"""Input detectors beside published implementations: verdicts and AUROC first, then forwards and CPU seconds.

    ASSAY_DATA=... python -m benchmarks.backdoor.inputs FOLDER [--peers-python PYTHON] [--json FILE]

Plants BadNets (a white 3x3 square in the lower right corner, class 0, 10 % of 12,000 images) in a small CIFAR-10
network, which stays in FOLDER, and gives every contestant the same network file and the same images, in a process of
its own, one after the other, with one thread. PYTHON is an interpreter that has ART and TrojanZoo (or
ASSAY_ART_PYTHON); without it only Assay's rows are made. About ten CPU minutes, most of them TrojanZoo's NEO.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from assay.base.intervals import auc_bounds, clopper_pearson, delong_auc
from assay.data.formats.registry import load_dataset
from assay.data.images import Subset
from assay.methods.backdoor.planting import Planted, attack_success, load_planted, plant, plant_from
from assay.training import Recipe, predict, seeded_build
from assay.training.feeding import gather

WORKER = Path(__file__).with_name("contestants.py")
PINNED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {"TQDM_DISABLE": "1"}
NETWORK = "network.pt"
IMAGES = "images.npz"
SEED = 7
TARGET = 0
TRAINED, UNSEEN = 12_000, 10_000
ATTACK = {"name": "badnets", "colour": "white", "side": 3, "corner": "bottom right", "rate": 0.1}
RECIPE = Recipe(epochs=8, batch_size=64, optimiser="adamw", learning_rate=2e-3, warmup=0.1)
PARTS = {"pool": 200, "calibration": 400, "clean": 300}
HEAD = (
    "contestant",
    "images, clean + stamped",
    "AUROC",
    "stamped flagged",
    "clean flagged",
    "forwards per image",
    "CPU s per image",
    "forwards per clean image",
    "CPU s per clean image",
)
OURS = ("ours strip", "ours strip, at 1 %", "ours neo", "ours scale_up", "ours teco")
PEERS = (
    "ART strip",
    "ART strip, entropy over classes",
    "TrojanZoo strip",
    "TrojanZoo neo",
)


def divided() -> tuple[Subset, Subset]:
    """CIFAR-10's training images: those that networks are trained on here, and those that are not."""
    data = load_dataset("cifar10")
    assert data.train is not None
    rows = np.random.default_rng(SEED).permutation(len(data.train))
    return Subset(data.train, rows[:TRAINED]), Subset(data.train, rows[TRAINED : TRAINED + UNSEEN])


def make(folder: Path) -> Planted:
    """Train the network, save it as TorchScript, and draw images that it was not trained on."""
    train, unseen = divided()
    network = seeded_build("tiny-cnn", 10, train.shape, SEED)
    planted = plant(
        plant_from(ATTACK | {"goal": {"kind": "all-to-one", "target": TARGET}}),
        network,
        gather(train),
        torch.from_numpy(train.labels),
        RECIPE,
        num_classes=10,
        seed=SEED,
        device=torch.device("cpu"),
    )
    planted.save(folder)
    torch.jit.trace(network.eval(), torch.zeros(2, *train.shape)).save(str(folder / NETWORK))
    pixels = unseen.take(np.arange(len(unseen)))
    parts, start = {}, 0
    for name, size in PARTS.items():
        parts[name] = pixels[start : start + size]
        start += size
    of_clean = predict(network, parts["clean"], torch.device("cpu")).argmax(1)
    parts["stamped"] = planted.stamp(parts["clean"][of_clean != TARGET])
    np.savez(folder / IMAGES, everything=pixels.numpy(), **{name: part.numpy() for name, part in parts.items()})
    return planted


def facts(folder: Path, planted: Planted) -> str:
    """Accuracy and attack success on the test images, in one line."""
    test = load_dataset("cifar10").test
    assert test is not None
    network, cpu = torch.jit.load(str(folder / NETWORK)), torch.device("cpu")
    images, labels = gather(test), torch.from_numpy(test.labels)
    right = clopper_pearson(int((predict(network, images, cpu).argmax(1) == labels).sum()), len(labels))
    success = attack_success(network, planted, images, labels, cpu)
    return f"accuracy {right.low:.3f} to {right.high:.3f}; attack success {success.value:.3f}"


def compete(name: str, folder: Path, python: str, worker: Path = WORKER) -> dict[str, object]:
    """Run one contestant of a worker in a process of its own."""
    answer = subprocess.run(
        [python, str(worker), name, str(folder)],
        env=os.environ | PINNED | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise SystemExit(f"{name} failed:\n{answer.stderr[-3000:]}")
    found: dict[str, object] = json.loads(answer.stdout.splitlines()[-1])
    return found


def row(name: str, found: dict[str, object]) -> dict[str, object]:
    """The numbers of one contestant, with intervals."""
    scores = {part: np.array(found[part], float) for part in ("clean", "stamped")}
    flags = {part: np.array(found[f"{part}_flagged"], bool) for part in ("clean", "stamped")}
    result: dict[str, object] = {"contestant": name, "clean": len(flags["clean"]), "stamped": len(flags["stamped"])}
    if len(scores["clean"]):
        auc = delong_auc(scores["stamped"], scores["clean"])
        result["auroc"] = [auc.value, *auc_bounds(auc)[:2]]
    for label, flagged in (("tpr", flags["stamped"]), ("frr", flags["clean"])):
        result[label] = [float(flagged.mean()), *clopper_pearson(int(flagged.sum()), len(flagged))[:2]]
    judged = len(flags["clean"]) + len(flags["stamped"])
    for kind in ("forwards", "cpu_seconds"):
        result |= {kind: found[kind], f"{kind}_per_image": found[kind] / judged}  # type: ignore[operator]
    for kind in ("forwards_of_clean", "cpu_seconds_of_clean"):
        result[kind] = found[kind] / len(flags["clean"])  # type: ignore[operator]
    return result


def line(result: dict[str, object]) -> str:
    """A row of the Markdown table."""

    def share(name: str) -> str:
        if name not in result:
            return ""
        value, low, high = result[name]  # type: ignore[misc]
        return f"{value:.3f} ({low:.3f} to {high:.3f})"

    cells = [
        str(result["contestant"]),
        f"{result['clean']} + {result['stamped']}",
        share("auroc"),
        share("tpr"),
        share("frr"),
        f"{result['forwards_per_image']:,.0f}",
        f"{result['cpu_seconds_per_image']:.4f}",
        f"{result['forwards_of_clean']:,.0f}",
        f"{result['cpu_seconds_of_clean']:.4f}",
    ]
    return "| " + " | ".join(cells) + " |"


def arguments(description: str | None) -> argparse.Namespace:
    """The command line of a benchmark with contestants."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers-python", default=os.environ.get("ASSAY_ART_PYTHON"))
    parser.add_argument("--only", nargs="*", help="contestants to run, by name")
    parser.add_argument("--json", type=Path, help="where to write all numbers")
    return parser.parse_args()


def main() -> None:
    """The command."""
    options = arguments(__doc__)
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    made = (options.folder / IMAGES).exists()
    planted = load_planted(options.folder) if made else make(options.folder)
    print(facts(options.folder, planted), flush=True)
    print(f"| {' | '.join(HEAD)} |")
    print(f"| {' | '.join(['---'] * 5 + ['---:'] * 4)} |")
    results = []
    for name in (*OURS, *PEERS) if options.peers_python else OURS:
        if options.only and name not in options.only:
            continue
        python = sys.executable if name in OURS else options.peers_python
        results.append(row(name, compete(name, options.folder, python)))
        print(line(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
