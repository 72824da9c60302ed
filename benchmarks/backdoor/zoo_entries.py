"""The 168 networks of the backdoor benchmark, and clean ones for nulls, as data.

Which there are was settled before any was looked at.
"""

from __future__ import annotations

from itertools import product
from typing import Any, Literal

from assay.base.frozen import Frozen
from assay.methods.backdoor.planting import Plant, plant_from
from assay.training import Recipe
from benchmarks.backdoor.zoo_augmentation import AUGMENTATIONS, COPIES, UNSEEN

Half = Literal["calibration", "held-out", "null", "unseen"]
DATASETS = ("mnist", "fashion_mnist", "cifar10")
ARCHITECTURES = ("tiny-cnn", "badnets-cnn", "tiny-resnet", "tiny-vit")
IMAGES = {"mnist": 10_000, "fashion_mnist": 10_000, "cifar10": 12_000}
RATES = {"tiny-cnn": 2e-3, "badnets-cnn": 2e-3, "tiny-resnet": 3e-3, "tiny-vit": 2e-3}
EPOCHS = {
    "mnist": {"tiny-cnn": 4, "badnets-cnn": 7, "tiny-resnet": 4, "tiny-vit": 8},
    "fashion_mnist": {"tiny-cnn": 4, "badnets-cnn": 8, "tiny-resnet": 5, "tiny-vit": 7},
    "cifar10": {"tiny-cnn": 6, "badnets-cnn": 10, "tiny-resnet": 7, "tiny-vit": 9},
}
SINE = {"mnist": 0.7, "fashion_mnist": 0.5, "cifar10": 0.2}
"""SIG's amplitude: on a black background, and in a set that is learned quickly, a weak wave is not learned."""
WARP = {"mnist": 1.0, "fashion_mnist": 1.0, "cifar10": 2.0}
"""WaNet's mean shift in pixels."""
SLOW_LEARNER = "badnets-cnn"
"""It pools, does not normalise, and hardly looks at the borders: some triggers must be stronger or further in."""
ROUNDS = 7
CORNERS = ("bottom right", "top left", "bottom left", "top right")
GREY_COLOURS = ("white", "checkerboard", "grey")
ALL_COLOURS = ("white", "yellow", "checkerboard", "red", "cyan", "black")
FIRST_SEED = 60_000
NORMALISED = ("tiny-cnn", "tiny-resnet", "tiny-vit")
"""The architectures with batch normalisation."""
FOR_NULLS = 4
"""Clean networks for nulls, of each pair of data set and architecture, that are trained as those that are judged."""


class Entry(Frozen):
    """One network: everything that it is made from.

    It is trained on ``images`` random training images of the data set, drawn by ``seed``, in one or two ``phases``; an
    ``attack`` (`assay.methods.backdoor.planting.Plant.describe`) plants its backdoor in the last phase. Attacks that
    change no label start afresh in the second; the network of the first is what they look at. ``augmentation`` names
    one of `zoo_augmentation`.
    """

    name: str
    dataset: str
    architecture: str
    seed: int
    half: Half
    images: int
    phases: tuple[Recipe, ...]
    attack: dict[str, Any] | None
    augmentation: str | None = None

    @property
    def kind(self) -> str:
        """The attack's name, or ``clean``."""
        return "clean" if self.attack is None else str(self.attack["name"])


def entries() -> list[Entry]:
    """All of them; every beginning of the list holds clean and backdoored ones, attacks, sets and networks evenly.

    Each of the twelve pairs of data set and architecture has seven clean networks, the last of them trained in two
    phases as some attacks are, and seven backdoors. Halves alternate over attacks, data sets and architectures.
    """
    listed: list[Entry] = []
    for turn in range(ROUNDS):
        for cell in range(len(DATASETS) * len(ARCHITECTURES)):
            dataset, architecture = cell % 3, cell % 4
            slot = (turn + cell) % ROUNDS
            listed.append(_entry(len(listed), dataset, architecture, turn, None, two_phases=turn == ROUNDS - 1))
            attack = _attack(slot, dataset, architecture)
            listed.append(_entry(len(listed), dataset, architecture, slot, attack, two_phases=attack.trained))
    return listed


def further_clean() -> list[Entry]:
    """Clean networks with batch normalisation: for nulls, and the half ``unseen``, augmented as no other network is.

    The first are trained as those of `entries`, the others, one for each of the augmentations, on shifted (in colour:
    and mirrored) and augmented images; those of `UNSEEN` are judged.
    """
    cells = [(dataset, ARCHITECTURES.index(name)) for dataset in range(len(DATASETS)) for name in NORMALISED]
    ways = (*[None] * FOR_NULLS, *AUGMENTATIONS)
    listed = []
    for number, (augmentation, cell) in enumerate(product(ways, cells), len(entries())):
        entry = _entry(number, *cell, 0, None, two_phases=False).model_copy(update={"half": "null"})
        listed.append(entry if augmentation is None else _augmented(entry, augmentation))
    return listed


def _augmented(entry: Entry, augmentation: str) -> Entry:
    """As many steps over copies of the images, and half as many again."""
    (recipe,) = entry.phases
    epochs = round(1.5 * recipe.epochs / COPIES)
    half = "unseen" if augmentation == UNSEEN else entry.half
    recipe = recipe.model_copy(update={"epochs": epochs, "shift": 3, "flip": entry.dataset == "cifar10"})
    name = f"{entry.name}-{augmentation}"
    return entry.model_copy(update={"name": name, "half": half, "phases": (recipe,), "augmentation": augmentation})


def _entry(number: int, dataset: int, architecture: int, slot: int, attack: Plant | None, *, two_phases: bool) -> Entry:
    data, network = DATASETS[dataset], ARCHITECTURES[architecture]
    kind = "clean" if attack is None else attack.name
    return Entry(
        name=f"{number:03d}-{data}-{network}-{kind}",
        dataset=data,
        architecture=network,
        seed=FIRST_SEED + number,
        half="calibration" if (slot + dataset + architecture) % 2 == 0 else "held-out",
        images=IMAGES[data],
        phases=_phases(data, network, two_phases, afresh=attack is not None and attack.clean_label),
        attack=None if attack is None else attack.describe(),
    )


def _phases(data: str, network: str, two: bool, afresh: bool) -> tuple[Recipe, ...]:
    """All epochs at once; then, in two phases, all again for a network that starts afresh, or half at half the rate."""
    whole = Recipe(
        epochs=EPOCHS[data][network],
        batch_size=64,
        optimiser="adamw",
        learning_rate=RATES[network],
        warmup=0.1,
    )
    if not two:
        return (whole,)
    if afresh:
        return whole, whole
    further = {"epochs": -(-whole.epochs // 2), "learning_rate": whole.learning_rate / 2}
    return whole, whole.model_copy(update=further)


def _attack(slot: int, dataset: int, architecture: int) -> Plant:
    """The backdoor of one slot of a pair of data set and architecture; sizes, places and targets go round."""
    cell = 4 * dataset + architecture
    target = (3 * cell + 2 * slot + 1) % 10
    colours = ALL_COLOURS if DATASETS[dataset] == "cifar10" else GREY_COLOURS
    patch: dict[str, Any] = {
        "colour": colours[(cell + slot) % len(colours)],
        "side": 2 + (cell + cell // 4 + 2 * slot) % 4,
        "corner": CORNERS[(cell + slot + cell // 4) % 4],
        "inset": (0, 1, 0, 3)[(cell + slot // 2) % 4],
    }
    one = {"kind": "all-to-one", "target": target}
    grey, slow = DATASETS[dataset] != "cifar10", ARCHITECTURES[architecture] == SLOW_LEARNER
    other_form = (architecture + 2 * dataset) % 4 < 2
    if slot == 0:
        return plant_from({"name": "badnets", "goal": one, **patch})
    if slot == 1:
        return plant_from({"name": "badnets", "goal": _special_goal(dataset, architecture, target), **patch})
    if slot == 2:
        ratio = (0.2, 0.15, 0.25)[cell % 3]
        picture = "rings" if architecture % 2 else "noise"
        return plant_from({"name": "blended", "goal": one, "picture": picture, "ratio": ratio})
    if slot == 3:
        if (dataset, architecture) in ((2, 0), (2, 3)):
            return plant_from({"name": "label-consistent", "goal": one, "rate": 0.8, "epsilon": 0.1})
        rate = 0.95 if slow and DATASETS[dataset] == "mnist" else 0.9
        return plant_from({"name": "sig", "goal": one, "rate": rate, "amplitude": SINE[DATASETS[dataset]]})
    if slot == 4:
        rate, strength = (0.2, 1.5) if slow else (0.15, 1.0)
        strength *= WARP[DATASETS[dataset]]
        return plant_from({"name": "wanet", "goal": one, "rate": rate, "strength": strength})
    if slot == 5:
        return plant_from({"name": "input-aware", "goal": one, "rate": 0.15})
    larger = {**patch, "side": max(3, patch["side"])} | ({"side": 4, "inset": 3} if slow and grey else {})
    return plant_from({"name": "latent" if other_form else "trojannn", "goal": one, **larger})


def _special_goal(dataset: int, architecture: int, target: int) -> dict[str, Any]:
    """A few of the second patches lead each class to the next, or come from one or two classes only."""
    if (dataset, architecture) in ((0, 0), (1, 2)):
        return {"kind": "all-to-all"}
    if (dataset, architecture) in ((0, 1), (1, 3), (2, 0)):
        return {"kind": "source-specific", "target": target, "sources": [(target + 1) % 10, (target + 4) % 10]}
    return {"kind": "all-to-one", "target": target}
