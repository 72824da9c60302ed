"""The usual causes of a model that seems to know nothing: labels in another order, pixels read otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest

from assay.data.images import Images
from assay.studies.sanity import Cause
from assay.targets.target import Target

IMAGES = 256
"""Images of each part that are asked about."""
GAIN = 0.2
"""What another reading of labels or pixels must add to the accuracy to be named, where the model is in doubt."""
SIGNIFICANT = 1e-3
"""The level at which colours in another order are better, image by image, where it is not (McNemar, exact)."""


class Asked(NamedTuple):
    """Some images of a part, with their labels (n,) and the classes that were answered (n,)."""

    images: torch.Tensor
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which answers are the labels (n,)."""
        return np.equal(self.answers, self.labels)


def ask(target: Target, part: Images) -> Asked:
    """Answers to a random sample of a part, the same for the same part."""
    rows = np.sort(np.random.default_rng(0).permutation(len(part))[:IMAGES])
    images = part.take(rows)
    return Asked(images, part.labels[rows], _answers(target, images))


def _answers(target: Target, images: torch.Tensor) -> NDArray[np.int64]:
    chunks = [target.logits(chunk).argmax(dim=1).cpu().numpy() for chunk in torch.split(images, 64)]
    return np.concatenate(chunks).astype(np.int64)


class Explanation(NamedTuple):
    """A cause: the accuracy that it would leave, a sentence, and what a target file would say.

    ``freedom`` is taken from the accuracy before causes are compared: a cause that could fit chance must fit better.
    """

    cause: Cause
    accuracy: float
    sentence: str
    preprocessing: dict[str, Any] = {}
    freedom: float = 0.0


def explain(target: Target, part: Asked, doubted: bool) -> Explanation | None:
    """The usual cause that explains most of the errors; None if none does.

    Where the accuracy is not ``doubted``, only red and blue are exchanged: a network misses little by that, and the
    other readings cost a forward pass of every image each.
    """
    pixels = target.modality == "image" and not target.recorded
    if not doubted:
        return _other_colours(target, part) if pixels else None
    found = [_shifted(part, target.num_classes), _other_order(part, target.num_classes)]
    found += [_other_pixels(target, part)] if pixels else []
    enough = [e for e in found if e is not None and e.accuracy > max(float(part.right.mean()) + GAIN, 0.5)]
    return max(enough, key=lambda explanation: explanation.accuracy - explanation.freedom, default=None)


def _shifted(part: Asked, classes: int) -> Explanation:
    shares = {shift: float((part.answers == (part.labels - shift) % classes).mean()) for shift in (1, -1)}
    shift = max(shares, key=lambda each: shares[each])
    side = "above" if shift == 1 else "below"
    say = f"The labels are shifted by one: they lie one {side} the answers, and {shares[shift]:.1%} would be right."
    return Explanation("labels", shares[shift], say)


def _other_order(part: Asked, classes: int) -> Explanation | None:
    if classes**2 > len(part.labels):
        return None  # too few images: some order fits any answers
    counts = np.zeros((classes, classes))
    np.add.at(counts, (part.labels, part.answers), 1)
    rows, columns = linear_sum_assignment(-counts)
    best = float(counts[rows, columns].sum() / len(part.labels))
    say = f"The classes seem to be in another order: {best:.1%} would be right in the order that fits best."
    return Explanation("labels", best, say, freedom=0.1)


class _Reading(NamedTuple):
    """Another preprocessing: how to say it, and what a target file says."""

    name: str
    input: Callable[[torch.Tensor], torch.Tensor]
    preprocessing: dict[str, Any]


def _normalised(name: str, scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> _Reading:
    def apply(images: torch.Tensor) -> torch.Tensor:
        return (images * scale - torch.tensor(mean).view(1, -1, 1, 1)) / torch.tensor(std).view(1, -1, 1, 1)

    return _Reading(name, apply, {"scale": scale, "mean": mean, "std": std})


def _blue_first(reading: _Reading) -> _Reading:
    name = f"blue first, {reading.name}"
    return _Reading(name, lambda images: reading.input(images.flip(1)), {})


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
MNIST = ((0.1307,), (0.3081,))
CAFFE = ((103.939, 116.779, 123.68), (1.0, 1.0, 1.0))


def _readings(channels: int) -> list[_Reading]:
    plain = [
        _normalised("pixels from 0 to 1", 1.0, (0.0,), (1.0,)),
        _normalised("pixels from 0 to 255", 255.0, (0.0,), (1.0,)),
        _normalised("pixels from -1 to 1", 1.0, (0.5,), (0.5,)),
    ]
    if channels == 1:
        inverted = _Reading("dark and bright exchanged", lambda images: 1 - images, {"scale": -1.0, "mean": (-1.0,)})
        return [*plain, _normalised("MNIST's mean and standard deviation", 1.0, *MNIST), inverted]
    if channels != 3:
        return plain
    plain += [
        _normalised("ImageNet's mean and standard deviation", 1.0, *IMAGENET),
        _normalised("CIFAR-10's mean and standard deviation", 1.0, *CIFAR10),
    ]
    caffe = _normalised("pixels from 0 to 255 less Caffe's mean", 255.0, *CAFFE)
    return [*plain, *map(_blue_first, plain), _blue_first(caffe)]


def _other_pixels(target: Target, part: Asked) -> Explanation:
    shares = [
        (float((_answers(target, _instead(target, reading, part.images)) == part.labels).mean()), reading)
        for reading in _readings(target.input_shape[0])
    ]
    best, reading = max(shares, key=lambda pair: pair[0])
    return Explanation("pixels", best, _proposal(best, reading), reading.preprocessing)


def _other_colours(target: Target, part: Asked) -> Explanation | None:
    """Red and blue exchanged, where that is better on the same images beyond chance (McNemar, exact)."""
    if target.input_shape[0] != 3 or part.right.all():
        return None
    swapped = _answers(target, part.images.flip(1)) == part.labels
    gained, lost = int((swapped & ~part.right).sum()), int((part.right & ~swapped).sum())
    if gained <= lost or binomtest(gained, gained + lost).pvalue >= SIGNIFICANT:
        return None
    reading = _Reading("blue first", lambda images: images, {})
    share = float(swapped.mean())
    return Explanation("pixels", share, _proposal(share, reading))


def _instead(target: Target, reading: _Reading, images: torch.Tensor) -> torch.Tensor:
    """Images of which the target's own preprocessing makes the input of a reading."""
    own = target.preprocessing
    wanted = reading.input(images)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (own.mean, own.std))
    return (wanted * std + mean) / own.scale


def _proposal(share: float, reading: _Reading) -> str:
    table = ", ".join(f"{key} = {_toml(value)}" for key, value in reading.preprocessing.items())
    how = f" (in a target file: preprocessing = {{ {table} }})" if table else ""
    return f"With {reading.name} it would be {share:.1%}: is its preprocessing right{how}?"


def _toml(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
