"""The usual causes of a model that seems to know nothing: labels in another order, pixels read otherwise."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest

from assay.data.images import Images
from assay.studies.sanity import Cause
from assay.targets.readings import as_read, readings
from assay.targets.target import Target

IMAGES = 256
"""Images of each part that are asked about."""
GAIN = 0.2
"""What another reading of labels or pixels must add to the accuracy to be named, where the model is in doubt."""
SIGNIFICANT = 1e-3
"""The level at which colours in another order are better, image by image, where it is not (McNemar, exact)."""

DIM = 1.001 / 255
"""The brightest pixel of images that were divided by 255 twice."""


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
    if pixels and (small := _divided_twice(target, part)) is not None:
        return small
    if not doubted:
        return _other_colours(target, part) if pixels else None
    found = [_shifted(part, target.num_classes), _other_order(part, target.num_classes)]
    found += [_other_pixels(target, part)] if pixels else []
    enough = [e for e in found if e is not None and e.accuracy > max(float(part.right.mean()) + GAIN, 0.5)]
    return max(enough, key=lambda explanation: explanation.accuracy - explanation.freedom, default=None)


def _divided_twice(target: Target, part: Asked) -> Explanation | None:
    """No pixel is brighter than 1 of 255: bytes that were divided by 255 again after they were in [0, 1]."""
    brightest = float(part.images.max())
    if not 0 < brightest <= DIM:
        return None
    share = float((_answers(target, part.images * 255) == part.labels).mean())
    say = (
        f"No pixel of the images is brighter than {brightest:.4f}, where 1 is white: they were divided by 255 twice. "
        f"Multiplied by 255, {share:.1%} would be right."
    )
    return Explanation("pixels", share, say)


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


def _other_pixels(target: Target, part: Asked) -> Explanation:
    shares = [
        (float((_answers(target, as_read(target, reading, part.images)) == part.labels).mean()), reading)
        for reading in readings(target.input_shape[0])
    ]
    best, reading = max(shares, key=lambda pair: pair[0])
    said = _proposal(best, reading.name, f"preprocessing = {reading.table()}")
    return Explanation("pixels", best, said, reading.preprocessing.model_dump())


def _other_colours(target: Target, part: Asked) -> Explanation | None:
    """Red and blue exchanged, where that is better on the same images beyond chance (McNemar, exact)."""
    if target.input_shape[0] != 3 or part.right.all():
        return None
    swapped = _answers(target, part.images.flip(1)) == part.labels
    gained, lost = int((swapped & ~part.right).sum()), int((part.right & ~swapped).sum())
    if gained <= lost or binomtest(gained, gained + lost).pvalue >= SIGNIFICANT:
        return None
    share = float(swapped.mean())
    channels: Literal["rgb", "bgr"] = "rgb" if target.preprocessing.channels == "bgr" else "bgr"
    name = "blue first" if channels == "bgr" else "red first"
    said = _proposal(share, name, f'preprocessing.channels = "{channels}"')
    mended = target.preprocessing.model_copy(update={"channels": channels})
    return Explanation("pixels", share, said, mended.model_dump())


def _proposal(share: float, name: str, table: str) -> str:
    return f"With {name} it would be {share:.1%}: is its preprocessing right (in a target file: {table})?"
