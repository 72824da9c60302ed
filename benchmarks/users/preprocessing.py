"""Public networks with a wrong preprocessing: the right one is looked for by accuracy.

    ASSAY_DATA=... python -m benchmarks.users.preprocessing [docs/benchmarks/preprocessing.md]

Each network of the catalogue is opened with pixels from 0 to 1 as they are (or from 0 to 255, where the former is what
its authors do). The candidates are compared on 256 non-members (`assay.targets.readings`), as the audit of a bare file
does, and what they find is judged on 500 others beside the authors' own: found means at most one point below that.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from assay.base.files import write_text
from assay.catalogue.weights import Preprocessing
from assay.data.images import Subset
from assay.targets.readings import SAMPLE, Reading, as_read, compare
from assay.targets.reference import load_target
from assay.targets.target import Target

MODELS = (
    "akamaster/cifar10-resnet20",
    "akamaster/cifar10-resnet32",
    "badnets/cifar10-cnn",
    "badnets/mnist-cnn",
    "hyperparticle/cifar10-lenet",
    "abcrown/cifar10-resnet2b",
    "abcrown/cifar10-conv-small-pgd",
    "abcrown/cifar10-oval-base",
    "abcrown/mnist-conv-small-nat",
    "mlcommons/cifar10-resnet8",
    "locuslab/fashion-mnist-small",
    "yizeng623/cifar10-cnn6",
)
HELD_OUT = 500
POINT = 0.01
HEAD = ("network", "authors' own", "planted", "found", "accuracy with it", "found")


def accuracy(target: Target, preprocessing: Preprocessing, part: Subset) -> float:
    """The share of a part that is right with a preprocessing."""
    images = as_read(target, Reading("", "", preprocessing), part.take(np.arange(len(part))))
    answers = np.concatenate([target.logits(chunk).argmax(dim=1).numpy() for chunk in images.split(64)])
    return float((answers == part.labels).mean())


def case(reference: str) -> tuple[str, bool]:
    """One network: its row of the table, and whether the right preprocessing was found."""
    target = load_target(reference)
    images = target.splits.non_members
    assert images is not None, f"{reference} brings no non-members"
    sample, others = Subset(images, np.arange(SAMPLE)), Subset(images, np.arange(SAMPLE, SAMPLE + HELD_OUT))
    plain = Preprocessing()
    wrong = plain if target.preprocessing != plain else Preprocessing(scale=255.0)
    best = compare(target, sample)[0].reading
    own, planted, found = (accuracy(target, each, others) for each in (target.preprocessing, wrong, best.preprocessing))
    right = found >= own - POINT
    cells = (reference, f"{own:.1%}", f"{planted:.1%}", best.key, f"{found:.1%}", "yes" if right else "no")
    return f"| {' | '.join(cells)} |", right


def main() -> None:
    """The command."""
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    hits = 0
    for reference in MODELS:
        line, right = case(reference)
        hits += right
        lines.append(line)
        print(line, flush=True)
    said = (
        f"The right preprocessing is found for {hits} of {len(MODELS)} networks, or one that does as well: the means "
        "of ImageNet and of CIFAR-10 are close. The list was fixed when only the first had been tried."
    )
    print(said)
    if len(sys.argv) > 1:
        table = "\n".join(lines)
        purpose = (__doc__ or "").partition("\n\n")[2].partition("\n\n")[2].strip()
        write_text(Path(sys.argv[1]), f"# Preprocessing that nobody says\n\n{purpose}\n\n{table}\n\n{said}\n")


if __name__ == "__main__":
    main()
