"""What a published sibling gives away, on CIFAR-10: the tables of docs/siblings.md.

    ASSAY_DATA=... python -m benchmarks.siblings.siblings PART FOLDER [--images 200] [--only NAME]

PART is ``pairs`` (ResNet-20 with every kind of prior, and MLPerf Tiny's ResNet-8), ``claims`` (pairs of other
architectures: what is saved against how alike they are), ``unpairing`` (weights and orders, and the attacker who
knows), or ``report``, which prints what the folder holds. Every cell is one JSON file in FOLDER, which keeps unpaired
networks as well: interrupt it at will, it goes on where it was; several processes may share a folder. ASSAY_MIRROR
spares the downloads. Hours of one core; ``--images 5`` tries it out, in a folder of its own.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from assay.access import Published, WhiteBox
from assay.analysis.claims.evidence import write_evidence
from assay.compression.compression import Workshop, compress, is_compression, parse
from assay.data.images import Subset
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.queries import QueryOptions
from assay.methods.siblings.attackers import Averaged, in_hand, refitted
from assay.methods.siblings.campaigns import Attack, run_attack
from assay.methods.siblings.comparison import Pair, compare, similarity_metrics
from assay.methods.siblings.unpairing import Order, Unpairing, unpaired
from assay.targets.reference import load_target, open_model
from assay.targets.target import Target
from assay.training import predict
from benchmarks.siblings.evidence import CAP, NOTHING, siblings_evidence
from benchmarks.siblings.tables import report, spent

EPSILON = 0.5
RESNET20 = "akamaster/cifar10-resnet20"
RESNET8 = "mlcommons/cifar10-resnet8-float"

PAIRS: dict[str, tuple[str, ...]] = {
    RESNET20: (
        NOTHING,
        "akamaster/cifar10-resnet32",
        "akamaster/cifar10-resnet56",
        "prune=0.5",
        "prune=0.5+tune",
        "filters=0.25+tune",
        "int4",
        "int8",
        "int8=tensor",
        "fold+int8+activations",
        "low-rank=0.5+tune",
        "distil=tiny-cnn",
    ),
    RESNET8: (NOTHING, "akamaster/cifar10-resnet32", "mlcommons/cifar10-resnet8-int8"),
}
"""The model under attack, and what the attacker has in hand."""

CLAIMS: dict[str, tuple[str, ...]] = {
    "abcrown/cifar10-marabou-medium": (NOTHING, "int8", "int4", "prune=0.5"),
    "hyperparticle/cifar10-lenet": (NOTHING, "int8", "int4", "prune=0.5", "low-rank=0.5"),
    "yizeng623/cifar10-cnn6": (NOTHING, "int8", "int4", "prune=0.5"),
    "mlcommons/cifar10-resnet-large-float": (
        NOTHING,
        "mlcommons/cifar10-resnet-large-int8",
        "mlcommons/cifar10-resnet8-float",
    ),
    "hyperparticle/cifar10-resnet32": (NOTHING, "int8", "int4", "prune=0.5"),
}
"""15 pairs over five architectures more; with those of `PAIRS` 28 over seven, four of them independent."""

MEMBERS, QUESTIONS = 10_000, 2_000
"""Images that the target's splits give the owner; the last so many of the auxiliary set are the attacker's."""


class Training(NamedTuple):
    """How a sibling is unpaired: order, weight of the squared cosine, highest rate, images, passes, gradients' share.

    Up to `MEMBERS` images are the target's members, more are of the auxiliary set: all were in its training set.
    """

    order: Order
    weight: float
    rate: float
    images: int
    epochs: int
    share: float = 1.0

    @property
    def name(self) -> str:
        """What it is called in the tables."""
        told = f"{self.order}, weight {self.weight:g}, rate {self.rate:g}, {self.images} images x {self.epochs}"
        return told if self.share == 1.0 else f"{told}, gradients of {self.share:.0%}"


UNPAIRED = (
    Training("unpair-then-compress", 30.0, 0.03, 38_000, 5, 0.25),
    Training("compress-then-unpair", 30.0, 0.03, 38_000, 2, 0.25),
    Training("unpair-then-compress", 30.0, 0.01, 38_000, 2),
    Training("unpair-then-compress", 5.0, 0.05, 38_000, 1),
    Training("unpair-then-compress", 30.0, 0.05, 10_000, 5),
)
"""ResNet-20's siblings in the part ``unpairing``."""
ALLOWED_LOSS = 0.01
"""Accuracy that a sibling may lose to be chosen for the attackers who know."""


class Bench(NamedTuple):
    """A target, test images for similarity, and those that are attacked: all of them are classified correctly."""

    target: Target
    box: WhiteBox
    test: Subset
    attacked: Subset


def bench(reference: str, images: int) -> Bench:
    """The same images for everybody: the first of the test set, in the order of seed 0, that the model has right."""
    target = load_target(reference, seed=0)
    assert target.module is not None
    assert target.splits.non_members is not None
    test = Subset(target.splits.non_members, np.arange(min(len(target.splits.non_members), 10 * images)))
    right = np.flatnonzero(predict(target.module, test, target.device).argmax(1).numpy() == test.labels)
    return Bench(target, WhiteBox(target), test, Subset(test, right[:images]))


def workshop(target: Target) -> Workshop:
    """The owner's: training images of the target."""
    members = target.splits.members
    assert members is not None
    return Workshop(target.input_shape, target.num_classes, members)


def in_the_hand(text: str, on: Bench) -> WhiteBox | None:
    """What the attacker has."""
    if text == NOTHING:
        return None
    if not is_compression(text):
        return Published(open_model(text).target)
    assert on.target.module is not None
    return in_hand(compress(on.target.module, parse(text), workshop(on.target)), on.box)


def attacked(on: Bench, prior: WhiteBox | None, attack: Attack) -> dict[str, Any]:
    """Questions and success, image by image."""
    images, labels = on.attacked.take(np.arange(len(on.attacked))), torch.from_numpy(on.attacked.labels)
    options = QueryOptions(epsilon=EPSILON, max_queries=CAP)
    found: dict[str, list[Any]] = {"queries": [], "success": []}
    for start in range(0, len(images), 100):
        part = slice(start, start + 100)
        generator = torch.Generator().manual_seed(start)
        result = run_attack(attack, on.box.logits, images[part], labels[part], prior, options, generator)
        found["queries"] += result.queries.tolist()
        found["success"] += result.success.tolist()
    return {**found, "rows": on.attacked.rows.tolist()}


def alike(on: Bench, sibling: WhiteBox) -> dict[str, Any]:
    """All measures of similarity, with their intervals, on 500 test images."""
    images, labels = on.test.take(np.arange(min(500, len(on.test)))), torch.from_numpy(on.test.labels[:500])
    metrics = similarity_metrics(compare(Pair(on.box, sibling, images, labels), Ball("l2", EPSILON)), 0)
    return {m.name: [m.value, *((m.interval.low, m.interval.high) if m.interval else ())] for m in metrics}


class Cell(NamedTuple):
    """One file of the folder, and how it is computed."""

    name: str
    compute: Callable[[], dict[str, Any]]


def cells(part: str, images: int, folder: Path) -> Iterator[Cell]:
    """Every cell of a part, in order."""
    if part == "unpairing":
        yield from _unpairing_cells(images, folder)
        return
    table = PAIRS if part == "pairs" else CLAIMS
    for reference, priors in table.items():
        on = _once(lambda reference=reference: bench(reference, images))
        for prior in priors:
            held = _once(lambda prior=prior, on=on: in_the_hand(prior, on()))
            described = {"target": reference, "prior": prior}
            attacks: tuple[Attack, ...] = ("p-rgf", "gfcs", "square") if prior == NOTHING else ("p-rgf", "gfcs")
            for attack in attacks:
                yield Cell(
                    f"{reference}--{prior}--{attack}",
                    lambda on=on, held=held, attack=attack, described=described: {
                        **described,
                        "attack": attack,
                        **attacked(on(), held(), attack),
                    },
                )
            if prior != NOTHING:
                yield Cell(
                    f"{reference}--{prior}--similarity",
                    lambda on=on, held=held, described=described: {**described, "similarity": alike(on(), held())},
                )


def _unpairing_cells(images: int, folder: Path) -> Iterator[Cell]:
    """Every sibling against the plain attacker; the paired one and the best against those who know how it was made."""
    on = _once(lambda: bench(RESNET20, images))
    for attack in ("p-rgf", "gfcs"):
        yield Cell(
            f"unpairing--nothing--{attack}",
            lambda attack=attack: {"sibling": NOTHING, "attack": attack, **attacked(on(), None, attack)},
        )
    made: dict[str, Callable[[], torch.nn.Module]] = {
        "paired": _once(lambda: compress(_network(on()), parse("int8"), workshop(on().target)))
    }
    for training in UNPAIRED:
        made[training.name] = _once(_trainer(on, training, folder))
    for name, network in made.items():
        yield Cell(
            f"unpairing--{name}--similarity",
            lambda name=name, network=network: {
                "sibling": name,
                "accuracy": _accuracy(network(), on()),
                "similarity": alike(on(), in_hand(network(), on().box)),
            },
        )
        yield from _hands_cells(name, {"plain": _once(lambda network=network: in_hand(network(), on().box))}, on)
    for name in ("paired", *_dearest(folder)):
        network = made[name]
        hands = {
            "averaged": _once(lambda network=network: in_hand(_averaged(network()), on().box)),
            "fine-tuned": _once(lambda network=network: in_hand(_refitted(network(), on()), on().box)),
        }
        hands["fine-tuned, averaged"] = _once(
            lambda hands=hands: in_hand(_averaged(hands["fine-tuned"]().module), on().box)
        )
        yield from _hands_cells(name, hands, on)


def _hands_cells(name: str, hands: dict[str, Callable[[], WhiteBox]], on: Callable[[], Bench]) -> Iterator[Cell]:
    for how, held in hands.items():
        for attack in ("p-rgf", "gfcs"):
            yield Cell(
                f"unpairing--{name}--{how}--{attack}",
                lambda how=how, held=held, attack=attack: {
                    "sibling": name,
                    "attacker": how,
                    "attack": attack,
                    **attacked(on(), held(), attack),
                },
            )


def _dearest(folder: Path) -> list[str]:
    """The unpaired sibling that costs the plain attacker most, by the cheaper attack, within `ALLOWED_LOSS`.

    None as long as the paired sibling, or every unpaired one, is not measured.
    """
    read = [json.loads(file.read_text()) for file in folder.glob("unpairing--*.json")]
    accuracy = {cell["sibling"]: cell["accuracy"] for cell in read if "accuracy" in cell}
    costs: dict[str, float] = {}
    for cell in read:
        if cell.get("attacker") == "plain" and cell["sibling"] in accuracy:
            median = float(np.median(spent(cell)))
            costs[cell["sibling"]] = min(costs.get(cell["sibling"], np.inf), median)
    unpaired_ones = [name for name in costs if name != "paired"]
    if not unpaired_ones or "paired" not in accuracy:
        return []
    allowed = [name for name in unpaired_ones if accuracy["paired"] - accuracy[name] <= ALLOWED_LOSS]
    return [max(allowed, key=costs.__getitem__) if allowed else max(unpaired_ones, key=accuracy.__getitem__)]


def _trainer(on: Callable[[], Bench], training: Training, folder: Path) -> Callable[[], torch.nn.Module]:
    """Trains the sibling, or reads it from the folder."""
    how = Unpairing(
        order=training.order,
        learning_rate=training.rate,
        epochs=training.epochs,
        share=training.share,
        shift=4,
        flip=True,
    )
    file = folder / f"unpaired--{_as_file_name(training.name)}.safetensors"

    def make() -> torch.nn.Module:
        network = copy.deepcopy(_network(on()))
        if not file.exists():
            partial = file.with_suffix(".partial")
            save_file(train().state_dict(), partial)
            partial.replace(file)
        network.load_state_dict(load_file(file))
        return network.eval()

    def train() -> torch.nn.Module:
        target = on().target
        source = target.splits.members if training.images <= MEMBERS else target.splits.auxiliary
        assert source is not None
        images = Subset(source, np.arange(training.images))
        owner = Workshop(target.input_shape, target.num_classes, images)
        return unpaired(_network(on()), parse("int8"), training.weight, how, owner)

    return make


def _as_file_name(name: str) -> str:
    return name.replace("/", "_").replace(" ", "_")


def _network(on: Bench) -> torch.nn.Module:
    assert on.target.module is not None
    return on.target.module


def _averaged(network: torch.nn.Module) -> torch.nn.Module:
    return Averaged(network, (3, 32, 32), 8, 0.05, 0)


def _refitted(network: torch.nn.Module, on: Bench) -> torch.nn.Module:
    """Fine-tuned on the target's answers to images of the auxiliary set, whose labels are not used."""
    assert on.target.splits.auxiliary is not None
    last = len(on.target.splits.auxiliary)
    questions = Subset(on.target.splits.auxiliary, np.arange(last - QUESTIONS, last))
    posteriors = predict(_network(on), questions, on.target.device).softmax(dim=1)
    return refitted(network, questions, posteriors, 10, 0, on.target.device)


def _accuracy(network: torch.nn.Module, on: Bench) -> float:
    """On the whole test set."""
    test = on.target.splits.non_members
    assert test is not None
    return float((predict(network, test, on.target.device).argmax(1).numpy() == test.labels).mean())


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    """A function that computes at its first call, and answers the same from then on."""
    kept: list[Any] = []

    def get() -> Any:
        if not kept:
            kept.append(make())
        return kept[0]

    return get


def run(part: str, folder: Path, images: int, only: str) -> None:
    """Every cell that is missing, each to a file that is renamed into place."""
    folder.mkdir(parents=True, exist_ok=True)
    for cell in cells(part, images, folder):
        file = folder / f"{part}--{_as_file_name(cell.name)}.json"
        if only not in cell.name or file.exists():
            continue
        clock = time.process_time()
        content = {"part": part, **cell.compute(), "cpu_seconds": round(time.process_time() - clock, 1)}
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(content))
        partial.replace(file)
        print(f"{cell.name}: {content['cpu_seconds']} CPU-s", flush=True)


def main() -> None:
    """Run a part, or report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("part", choices=("pairs", "claims", "unpairing", "report"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=200, help="images attacked, which the model classifies correctly")
    parser.add_argument("--only", default="", help="cells whose names contain this")
    parser.add_argument("--evidence", type=Path, help="report: write it for the ledger of claims instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.evidence:
        write_evidence(options.evidence, siblings_evidence(options.folder))
    elif options.part == "report":
        report(options.folder)
    else:
        run(options.part, options.folder, options.images, options.only)


if __name__ == "__main__":
    main()
