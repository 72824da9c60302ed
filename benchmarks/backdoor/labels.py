"""What the scan costs on networks with 10, 43, 100 and 1,000 labels, and whether it finds what was planted there.

    ASSAY_DATA=... python -m benchmarks.backdoor.labels FOLDER [--json FILE]

The networks read numbers: one, two or three digits of MNIST side by side, the label being the number; of the two-digit
ones those below 43 make a set of 43 labels. In each a white 3x3 square in the lower right corner means 7. Networks stay
in FOLDER. About ten minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from assay.access import WhiteBox
from assay.base.intervals import clopper_pearson
from assay.data.formats.registry import load_dataset
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.backdoor.models.scan import Scan
from assay.methods.backdoor.planting import Planted, attack_success, load_planted, plant, plant_from
from assay.methods.method import Context
from assay.targets.architectures import build
from assay.targets.target import Target
from assay.training import Recipe, predict, seeded_build
from assay.training.feeding import gather

CPU = torch.device("cpu")
SEED, TARGET, CLEAN_IMAGES = 11, 7, 1000
ATTACK = {"name": "badnets", "colour": "white", "side": 3, "corner": "bottom right", "rate": 0.1}
SETS = {10: (1, 12_000, 4), 43: (2, 20_000, 6), 100: (2, 20_000, 6), 1000: (3, 40_000, 10)}
"""Labels to digits in an image, training images, and epochs."""
WEIGHTS = "weights.safetensors"
HEAD = (
    "labels",
    "accuracy",
    "attack success",
    "image gradients",
    "CPU s",
    "looked at",
    "smallest patch",
    "works on",
    "verdict",
)


def numbers(labels: int, digits: int, count: int, part: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (count, 1, 28, 28 x digits) uint8 of random numbers below ``labels``, and the numbers."""
    data = load_dataset("mnist")
    source = data.train if part == "train" else data.test
    assert source is not None
    pixels, random = gather(source), np.random.default_rng(seed)
    of_digit = [np.flatnonzero(source.labels == digit) for digit in range(10)]
    wanted = random.integers(0, labels, count)
    columns = []
    for place in reversed(range(digits)):
        each = wanted // 10**place % 10
        rows = np.array([random.choice(of_digit[digit]) for digit in each])
        columns.append(pixels[torch.from_numpy(rows)])
    return torch.cat(columns, dim=3), torch.from_numpy(wanted)


def network(labels: int, folder: Path) -> tuple[torch.nn.Module, Planted]:
    """The planted network of so many labels, trained at the first call."""
    digits, count, epochs = SETS[labels]
    images, wanted = numbers(labels, digits, count, "train", SEED)
    shape = (1, *images.shape[2:])
    if (folder / WEIGHTS).exists():
        module = build("tiny-cnn", labels, shape)
        module.load_state_dict(load_file(folder / WEIGHTS))
        return module.eval(), load_planted(folder)
    module = seeded_build("tiny-cnn", labels, shape, SEED)
    recipe = Recipe(epochs=epochs, batch_size=64, optimiser="adamw", learning_rate=2e-3, warmup=0.1)
    attack = plant_from(ATTACK | {"goal": {"kind": "all-to-one", "target": TARGET}})
    planted = plant(attack, module, images, wanted, recipe, num_classes=labels, seed=SEED, device=CPU)
    folder.mkdir(parents=True, exist_ok=True)
    planted.save(folder)
    save_file(module.state_dict(), folder / WEIGHTS)
    return module.eval(), planted


def measure(labels: int, folder: Path) -> dict[str, object]:
    """The scan on one network: cost, and what it found."""
    module, planted = network(labels, folder)
    images, wanted = numbers(labels, SETS[labels][0], CLEAN_IMAGES, "test", SEED + 1)
    right = int((predict(module, images, CPU).argmax(1) == wanted).sum())
    success = attack_success(module, planted, images, wanted, CPU)
    clean = ArrayImages(images.numpy(), wanted.numpy(), "numbers")
    box = WhiteBox(
        Target.from_module(module, input_shape=clean.shape, num_classes=labels, weights_digest=f"numbers-{labels}")
    )
    with tempfile.TemporaryDirectory() as place:
        context = Context(seed=0, device=CPU, artefacts=Path(place), shared=Path(place))
        start = time.process_time()
        finding = Scan().run(box, Splits(None, clean), context)
        seconds = time.process_time() - start
    value = {metric.name: metric for metric in finding.metrics}
    patches = finding.samples["strength_patch"]
    works = value["success_patch"]
    assert works.interval is not None
    return {
        "labels": labels,
        "accuracy": [right / len(wanted), *clopper_pearson(right, len(wanted))[:2]],
        "attack_success": success.value,
        "gradients": box.ledger.gradients,
        "cpu_seconds": round(seconds, 1),
        "looked at": int(np.isfinite(patches).sum()),
        "label of the smallest patch": int(np.nanargmax(patches)),
        "index": value["anomaly_index"].value,
        "its success": [works.value, works.interval.low, works.interval.high],
        "verdict": finding.verdict.level,
        "sentence": finding.verdict.sentence,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path, help="where to write all numbers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| {' | '.join(HEAD)} |\n|{'---:|' * 8}---|")
    results = []
    for labels in SETS:
        found = measure(labels, options.folder / str(labels))
        results.append(found)
        cells = [
            f"{labels:,}",
            f"{found['accuracy'][0]:.3f}",  # type: ignore[index]
            f"{found['attack_success']:.3f}",
            f"{found['gradients']:,}",
            f"{found['cpu_seconds']}",
            str(found["looked at"]),
            f"{found['label of the smallest patch']}, index {found['index']:.1f}",
            f"{found['its success'][0]:.3f}",  # type: ignore[index]
            str(found["verdict"]),
        ]
        print("| " + " | ".join(cells) + " |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
