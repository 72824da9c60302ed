"""The benchmark's finished networks: what is known of each, and how it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import assay
from assay.base.errors import LoadError
from assay.base.frozen import Frozen
from assay.base.intervals import Bounds, clopper_pearson
from assay.data.formats.registry import Dataset
from assay.data.images import Images, Subset
from assay.methods.backdoor.planting import Planted, load_planted
from assay.targets.architectures import build
from assay.targets.loading.safetensors_file import read_safetensors
from assay.targets.loading.state import fit_state
from assay.training.feeding import gather
from benchmarks.backdoor.zoo_entries import Entry

WEIGHTS = "weights.safetensors"
DESCRIPTION = "network.json"
NUM_CLASSES = 10
LEAST_SUCCESS = 0.8
"""A backdoor that works on a smaller share of the test images than this is a failed plant."""


class Share(Frozen):
    """``hits`` of ``n`` test images."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        """The share."""
        return self.hits / self.n

    @property
    def bounds(self) -> Bounds:
        """Clopper and Pearson's 95 % interval."""
        return clopper_pearson(self.hits, self.n)


class Made(Frozen):
    """What is known of a finished network; digests are SHA-256, of the weights' file and of the clean training set."""

    entry: Entry
    weights: str
    training_set: str
    accuracy: Share
    success: Share | None
    cpu_seconds: float
    torch: str

    @property
    def failed_plant(self) -> bool:
        """Whether the backdoor hardly works."""
        return self.success is not None and self.success.value < LEAST_SUCCESS


class Network(NamedTuple):
    """A finished network and where it lies."""

    made: Made
    folder: Path

    @property
    def entry(self) -> Entry:
        """What it was made from."""
        return self.made.entry

    @property
    def backdoored(self) -> bool:
        """Whether a backdoor was planted and works."""
        return self.made.success is not None and not self.made.failed_plant

    def planted(self) -> Planted | None:
        """Its backdoor, with the trigger; None if it is clean."""
        return None if self.entry.attack is None else load_planted(self.folder)


class Stamped(NamedTuple):
    """Test images float32 (n, c, h, w) with the trigger that is for them; true labels and those wanted, int64 (n,)."""

    images: torch.Tensor
    labels: torch.Tensor
    wanted: torch.Tensor


def load_zoo(folder: Path) -> Iterator[Network]:
    """All finished networks of a folder, in the order of the entries.

    Raises:
        LoadError: if a description is damaged.
    """
    for file in sorted(folder.glob(f"[0-9]*/{DESCRIPTION}")):
        yield read_network(file.parent)


def read_network(folder: Path) -> Network:
    """One finished network.

    Raises:
        LoadError: if its description is missing or damaged.
    """
    try:
        return Network(Made.model_validate_json((folder / DESCRIPTION).read_text()), folder)
    except (OSError, ValueError) as error:
        raise LoadError(f"{folder / DESCRIPTION} cannot be read: {error}") from error


@cache
def dataset(name: str) -> Dataset:
    """A data set, read once."""
    return assay.load_dataset(name)


def training_images(entry: Entry) -> Subset:
    """The clean images that a network is trained on (some of them are poisoned by an attack)."""
    train = dataset(entry.dataset).train
    assert train is not None
    rows = np.random.default_rng(entry.seed).permutation(len(train))[: entry.images]
    return Subset(train, np.sort(rows), f"{entry.dataset}, the training images of {entry.name}")


def test_images(entry: Entry) -> Images:
    """The data set's test images, which no network has seen."""
    test = dataset(entry.dataset).test
    assert test is not None
    return test


def open_network(network: Network) -> assay.Target:
    """The network as a target, with its training images as members and the test images as non-members.

    Raises:
        LoadError: if the weights are missing or damaged.
    """
    entry = network.entry
    shape = test_images(entry).shape
    module = build(entry.architecture, NUM_CLASSES, shape)
    fit_state(module, read_safetensors(network.folder / WEIGHTS), entry.name, entry.architecture)
    return assay.Target.from_module(
        module,
        input_shape=shape,
        num_classes=NUM_CLASSES,
        splits=assay.Splits(training_images(entry), test_images(entry)),
        name=entry.name,
        class_names=dataset(entry.dataset).class_names,
        weights_digest=network.made.weights,
    )


def stamped_test_images(network: Network) -> Stamped:
    """The test images that a network's backdoor is for, stamped.

    Raises:
        LoadError: if the network is clean, or its description is damaged.
    """
    planted = network.planted()
    if planted is None:
        raise LoadError(f"{network.entry.name} has no backdoor.")
    test = test_images(network.entry)
    labels = torch.from_numpy(test.labels)
    goal = planted.attack.goal
    aimed = goal.aimed(labels)
    stamped = planted.stamp(gather(test)[aimed])
    return Stamped(stamped.float() / 255.0, labels[aimed], goal.wanted(labels[aimed], NUM_CLASSES))
