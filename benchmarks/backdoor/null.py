"""The null of the input detectors' verdict: what the search among generic patches finds on clean models.

    ASSAY_DATA=... ASSAY_MIRROR=... python -m benchmarks.backdoor.null ZOO [TABLE]

Clean are the catalogue's models of digits, MNIST, Fashion-MNIST and CIFAR-10 (without the backdoored ones and copies of
the same network), and the clean networks of the calibration half of the backdoor benchmark (``zoo``) in the
folder ZOO. Models that the TABLE (by default the package's own) holds already are kept; a minute or a few for the rest.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from assay import Target
from assay.access import Oracle, PosteriorStore, Serving
from assay.catalogue.curated import curated
from assay.data.images import Subset
from assay.methods.backdoor.inputs.parts import divide
from assay.methods.backdoor.inputs.search import Searched, lead, search
from assay.methods.backdoor.inputs.strip import Strip
from assay.methods.backdoor.triggers import pull_towards
from assay.methods.method import Context
from assay.targets.reference import load_target
from benchmarks.backdoor.zoo_networks import load_zoo, open_network

DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10")
BACKDOORED = ("badnets/mnist-cnn", "badnets/cifar10-cnn", "starter/digits-cnn-backdoored")
COPIES = {
    "mlcommons/cifar10-resnet8": ("mlcommons/cifar10-resnet8-float", "mlcommons/cifar10-resnet8-int8"),
    "mlcommons/cifar10-resnet-large-float": ("mlcommons/cifar10-resnet-large-int8",),
    "starter/digits-cnn": ("starter/digits-cnn-int8",),
}
"""Models of the table, to the same network in other formats."""
COLUMNS = ("model", "patch", "class", "success", "rival_patch", "rival_class", "rival", "lead", "weights")


def clean_models(zoo: Path, known: set[str]) -> Iterator[Target]:
    """The models that are not known yet, one after another."""
    for network in load_zoo(zoo):
        if network.entry.kind == "clean" and network.entry.half == "calibration" and network.entry.name not in known:
            yield open_network(network)
    for name, entry in curated().items():
        if entry.dataset in DATASETS and name not in known.union(BACKDOORED, *COPIES.values()):
            yield load_target(name)


def searched(target: Target, folder: Path) -> Searched:
    """The search, as `backdoor.strip` does it with its defaults and seed 0."""
    images = target.splits.non_members
    assert images is not None
    oracle = Oracle(target, Serving(), PosteriorStore(folder / "store.bin", target.num_classes))
    context = Context(seed=0, device=target.device, artefacts=folder, shared=folder)
    parts = divide(len(images), Strip().max_images, context.generator("input detectors: parts"))
    return search(oracle, images.take(parts.screening), Subset(images, parts.evaluation), context)


def row(target: Target) -> dict[str, str | int | float]:
    """One line of the table."""
    with TemporaryDirectory() as folder:
        found = searched(target, Path(folder))
    pulls = [
        pull_towards(label, found.before, after)
        for label, after in ((found.label, found.after), (found.rival_label, found.after_rival))
    ]
    (ahead,) = lead(found.before[None], found.after[None], found.after_rival[None], found.label, found.rival_label)
    values = (
        target.name,
        str(found.patch),
        found.label,
        round(pulls[0].share, 4),
        str(found.rival),
        found.rival_label,
        round(pulls[1].share, 4),
        round(float(ahead), 4),
        " ".join([target.weights_digest, *(load_target(copy).weights_digest for copy in COPIES.get(target.name, ()))]),
    )
    return dict(zip(COLUMNS, values, strict=True))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path)
    own = Path(str(files("assay.methods.backdoor.inputs") / "clean_models.csv"))
    parser.add_argument("table", type=Path, nargs="?", default=own)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table: Path = options.table
    rows = list(csv.DictReader(table.read_text().splitlines())) if table.exists() else []
    for target in clean_models(options.zoo, {str(one["model"]) for one in rows}):
        rows.append({name: str(value) for name, value in row(target).items()})
        print(*rows[-1].values(), flush=True)
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
