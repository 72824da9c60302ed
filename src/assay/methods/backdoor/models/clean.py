"""The clean images of a model detector, and the checks without which a search would say nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import WhiteBox
from assay.base.errors import AccessError, DataError
from assay.data.images import drawn
from assay.data.splits import Splits

FEWEST_IMAGES = 20
"""Clean images below which neither a search nor a success rate means anything."""

PROBED = 8
"""Images whose gradients are looked at before a search begins."""


class Clean(NamedTuple):
    """Images (n, c, h, w) to search with and (m, c, h, w) to measure on; the network's own labels of both, int64.

    True labels are not used: a trigger's success is counted over images that the network calls otherwise.
    """

    search: torch.Tensor
    held_out: torch.Tensor
    search_labels: NDArray[np.int64]
    labels: NDArray[np.int64]

    def others(self, label: int) -> NDArray[np.int64]:
        """Rows of the held-out images that the network does not call by a label."""
        return np.flatnonzero(self.labels != label)


def clean_images(box: WhiteBox, data: Splits, search: int, held_out: int, generator: torch.Generator) -> Clean:
    """Clean images drawn at random: at most half of them, and at most ``search``, to search with; the rest held out.

    Raises:
        DataError: if there are fewer than `FEWEST_IMAGES`, or the network calls all of one half by one label.
        AccessError: if its answers or gradients are not finite, or do not depend on the image.
    """
    if data.non_members is None:
        raise DataError("A model detector needs clean images that the target was not trained on.")
    there = len(data.non_members)
    if there < FEWEST_IMAGES:
        raise DataError(f"A model detector needs at least {FEWEST_IMAGES} clean images, and there are {there}.")
    used = drawn(data.non_members, min(there, search + held_out), generator)
    order = torch.randperm(len(used), generator=generator).numpy()
    cut = min(search, len(used) // 2)
    images = used.take(order)
    answers = torch.cat([box.logits(part) for part in torch.split(images, 256)])
    check_answers(answers)
    labels = answers.argmax(1).numpy()
    for found in (labels[:cut], labels[cut:]):
        if (found == found[0]).all():
            raise DataError(
                f"The network calls all {len(found)} clean images by one label: images of several classes are needed."
            )
    check_gradients(box, images[:cut][:PROBED])
    return Clean(images[:cut], images[cut:], labels[:cut], labels[cut:])


def check_answers(answers: torch.Tensor) -> None:
    """Refuse logits (n, classes) that say nothing about the images.

    Raises:
        AccessError: if they are not finite, or the same for every image.
    """
    if not torch.isfinite(answers).all():
        raise AccessError("The network answers clean images with NaN or infinity.")
    if bool((answers == answers[0]).all()):
        raise AccessError("The network's answers do not depend on the image, so that there is nothing to look for.")


def check_gradients(box: WhiteBox, images: torch.Tensor) -> None:
    """Refuse a network without usable gradients.

    Raises:
        AccessError: if the gradient of its logits is not finite, or 0 for every image.
    """
    gradient, _ = box.gradient(images, lambda logits: logits.amax(1) - logits.mean(1))
    if not torch.isfinite(gradient).all():
        raise AccessError("The network's gradient is not finite, so that no trigger can be searched for.")
    if not gradient.any():
        raise AccessError("The network's gradient vanishes for every image, so that no trigger can be searched for.")
