"""The scan and Neural Cleanse beside TrojanZoo's and ART's: verdicts first, then gradients and CPU seconds.

    ASSAY_DATA=... python -m benchmarks.backdoor.cleanse FOLDER [--peers-python PYTHON] [--json FILE]

FOLDER gets the planted network of ``inputs`` (BadNets on CIFAR-10) and a clean one of the same recipe.
Every contestant gets the same network files and images that neither was trained on, in a process of its own, one after
the other, with one thread. PYTHON is an interpreter that has ART, TensorFlow and TrojanZoo (or ASSAY_ART_PYTHON);
without it only Assay's rows are made. About an hour of one core, nearly all of it ART's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from assay.methods.backdoor.planting import load_planted
from assay.training import fit, seeded_build
from benchmarks.backdoor.inputs import IMAGES, NETWORK, RECIPE, SEED, TARGET, arguments, compete, divided, facts, make

WORKER = Path(__file__).with_name("cleanse_contestants.py")
PLANTED, CLEAN = "planted", "clean"
OURS = ("Assay scan", "Assay Neural Cleanse")
PEERS = (
    "TrojanZoo, the same 64 images",
    "TrojanZoo, 4,000 images",
    "ART, mended, 100 of its 1,000 steps",
    "ART, mended",
    "ART",
)
SLOW = PEERS[1:]
"""These see the planted network only."""
HEAD = ("contestant", "network", "verdict", "label that stands out", "index", "p", "image gradients", "CPU s")


def make_clean(folder: Path, images: Path) -> None:
    """The same network without a backdoor, and the same images."""
    train, _ = divided()
    network = seeded_build("tiny-cnn", 10, train.shape, SEED)
    fit(network, train, torch.from_numpy(train.labels), RECIPE, seed=SEED, device=torch.device("cpu"))
    torch.jit.trace(network.eval(), torch.zeros(2, *train.shape)).save(str(folder / NETWORK))
    (folder / IMAGES).symlink_to(images.resolve())


def line(name: str, network: str, found: dict[str, object]) -> str:
    """A row of the Markdown table."""
    p = found.get("p")
    cells = [
        name,
        network,
        str(found["verdict"]),
        f"{found['label']}{' (planted)' if network == PLANTED and found['label'] == TARGET else ''}",
        f"{found['index']:.2f}",
        "" if p is None else f"{p:.3f}",
        f"{found['gradients']:,}",
        f"{found['cpu_seconds']:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """The command."""
    options = arguments(__doc__)
    torch.set_num_threads(1)
    planted, clean = options.folder / PLANTED, options.folder / CLEAN
    for folder in (planted, clean):
        folder.mkdir(parents=True, exist_ok=True)
    about = load_planted(planted) if (planted / IMAGES).exists() else make(planted)
    if not (clean / IMAGES).exists():
        make_clean(clean, planted / IMAGES)
    for folder in (planted, clean):
        print(folder.name, facts(folder, about), flush=True)
    print(f"\n| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    results = []
    for name in (*OURS, *PEERS) if options.peers_python else OURS:
        if options.only and name not in options.only:
            continue
        python = sys.executable if name in OURS else options.peers_python
        for folder in (planted,) if name in SLOW else (planted, clean):
            found = compete(name, folder, python, WORKER)
            results.append({"contestant": name, "network": folder.name, **found})
            print(line(name, folder.name, found), flush=True)
            if options.json:
                options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
