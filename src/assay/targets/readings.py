"""The preprocessing that public networks usually take, and which of them a network was trained with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.errors import UsageError, nearest
from assay.catalogue.weights import Preprocessing
from assay.data.images import Images
from assay.targets.target import Target

SAMPLE = 256
"""Labelled images on which the candidates are compared."""
FIRST = 64
"""Images on which all of them are; only the best go on to the whole sample."""
FINALISTS = 4

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
MNIST = ((0.1307,), (0.3081,))
CAFFE = (103.939, 116.779, 123.68)
"""Mean of blue, green and red in ImageNet, on 0..255."""


class Reading(NamedTuple):
    """A preprocessing with its name in options (``key``) and in sentences."""

    key: str
    name: str
    preprocessing: Preprocessing

    def table(self) -> str:
        """It as a target file says it."""
        usual = Preprocessing()
        said = {"scale": self.preprocessing.scale, "mean": self.preprocessing.mean, "std": self.preprocessing.std}
        if self.preprocessing.channels != usual.channels:
            said = {k: v for k, v in said.items() if v != getattr(usual, k)} | {"channels": self.preprocessing.channels}
        return "{ " + ", ".join(f"{key} = {_toml(value)}" for key, value in said.items()) + " }"


class Score(NamedTuple):
    """What a network gets right with a reading, in [0, 1], and its mean cross-entropy in nats, on ``n`` images."""

    reading: Reading
    accuracy: float
    loss: float
    n: int


def readings(channels: int) -> list[Reading]:
    """The usual candidates for images of so many channels; the plain one first."""
    plain = [
        Reading("unit", "pixels from 0 to 1", Preprocessing()),
        Reading("255", "pixels from 0 to 255", Preprocessing(scale=255.0)),
        Reading("symmetric", "pixels from -1 to 1", Preprocessing(mean=(0.5,), std=(0.5,))),
    ]
    if channels == 1:
        mnist = Preprocessing(mean=MNIST[0], std=MNIST[1])
        inverted = Preprocessing(scale=-1.0, mean=(-1.0,))
        return [
            *plain,
            Reading("mnist", "MNIST's mean and standard deviation", mnist),
            Reading("inverted", "dark and bright exchanged", inverted),
        ]
    if channels != 3:
        return plain
    imagenet, cifar10 = (Preprocessing(mean=mean, std=std) for mean, std in (IMAGENET, CIFAR10))
    plain += [
        Reading("imagenet", "ImageNet's mean and standard deviation", imagenet),
        Reading("cifar10", "CIFAR-10's mean and standard deviation", cifar10),
    ]
    caffe = Preprocessing(scale=255.0, mean=CAFFE, channels="bgr")
    return [
        *plain,
        *map(_blue_first, plain),
        Reading("caffe", "blue first, pixels from 0 to 255 less Caffe's mean", caffe),
    ]


def _blue_first(reading: Reading) -> Reading:
    swapped = reading.preprocessing.model_copy(update={"channels": "bgr"})
    return Reading(f"{reading.key}-bgr", f"blue first, {reading.name}", swapped)


def named_reading(key: str, channels: int) -> Reading:
    """The candidate of a name.

    Raises:
        UsageError: if there is none; the message names the nearest, or all.
    """
    known = {reading.key: reading for reading in readings(channels)}
    if key not in known:
        raise UsageError(
            f"There is no preprocessing {key!r} for images of {channels} channels: {nearest(key, known)} "
            f"There are {', '.join(known)}; another goes into a target file (assay init writes one)."
        )
    return known[key]


def as_read(target: Target, reading: Reading, images: torch.Tensor) -> torch.Tensor:
    """Images of which the target's own preprocessing makes the input of a reading."""
    own, wanted = target.preprocessing, reading.preprocessing
    if wanted.channels == "bgr":
        images = images.flip(1)
    mean, std, own_mean, own_std = (
        torch.tensor(values).view(1, -1, 1, 1) for values in (wanted.mean, wanted.std, own.mean, own.std)
    )
    changed = ((images * wanted.scale - mean) / std * own_std + own_mean) / own.scale
    return changed.flip(1) if own.channels == "bgr" else changed


def compare(target: Target, part: Images) -> list[Score]:
    """The candidates that do best on a random sample of a labelled part, the best first.

    All are tried on the first `FIRST` images, and the best `FINALISTS` on `SAMPLE`. Equal accuracies are ordered by
    the cross-entropy, and what is equal in both keeps the order of `readings`.
    """
    rows = np.random.default_rng(0).permutation(len(part))[:SAMPLE]
    images, labels = part.take(rows), part.labels[rows]
    first = _ordered(_score(target, each, images[:FIRST], labels[:FIRST]) for each in readings(target.input_shape[0]))
    return _ordered(_score(target, each.reading, images, labels) for each in first[:FINALISTS])


def _ordered(scores: Iterable[Score]) -> list[Score]:
    return sorted(scores, key=lambda score: (-score.accuracy, score.loss))


def _score(target: Target, reading: Reading, images: torch.Tensor, labels: NDArray[np.int64]) -> Score:
    read = as_read(target, reading, images)
    logits = torch.cat([target.logits(chunk) for chunk in torch.split(read, 64)])
    truth = torch.from_numpy(labels)
    right = float((logits.argmax(dim=1) == truth).double().mean())
    loss = float(torch.nn.functional.cross_entropy(logits.double(), truth))
    return Score(reading, right, loss, len(labels))


def chosen(scores: Sequence[Score]) -> str:
    """One sentence: which reading is taken, on what ground, and the three best."""
    best = ", ".join(f"{score.reading.key} {score.accuracy:.1%}" for score in scores[:3])
    return f"{scores[0].reading.key}, chosen by accuracy on {scores[0].n} labelled images ({best})"


def _toml(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(list(value)) if isinstance(value, tuple) else str(value)
