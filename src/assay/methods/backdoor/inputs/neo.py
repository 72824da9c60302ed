"""NEO: block a part of the image; if the prediction changes, see what that part does to other images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Oracle
from assay.base.intervals import Floats
from assay.data.images import Images
from assay.methods.about import About
from assay.methods.backdoor.inputs.blocking import Block, Region, blocked, blocks, dominant_colour, transplanted
from assay.methods.backdoor.inputs.detector import ATLAS, EXAMINER, InputDetector, Roles
from assay.methods.backdoor.inputs.parts import FEWEST_IMAGES
from assay.methods.backdoor.inputs.results import Judged
from assay.methods.method import Context, method

T = TypeVar("T")

BATCH = 256
"""Images asked about at a time."""


class Located(NamedTuple):
    """The region of an image that leads most other images to its class, their share, and the class that it hides.

    Without a region whose blocking changes the prediction, ``place`` is None and ``share`` 0.
    """

    share: float
    place: Block | None
    label: int
    beneath: int


@method
class Neo(InputDetector):
    """NEO: finds a patch in an image by blocking it, and confirms it on clean images.

    A block in the image's dominant colour is moved over it. Wherever the prediction changes, the pixels beneath are a
    candidate: they are pasted at the same place onto ``confirmations`` clean images of other predicted classes.
    Measured is the share of those that are then taken for the image's class, of the best candidate. The authors take a
    share of 0.8 for a backdoor; here clean images set the threshold.

    The authors know the trigger's size and try every place. Here the block is larger than most patch triggers and is
    moved by several pixels: it covers every square of up to ``side - stride + 1`` pixels completely, also flush with an
    edge. Triggers that are larger or lie all over the image are not found, nor one in the dominant colour.
    """

    name = "backdoor.neo"
    needs = "label"
    about = About(
        title="NEO (blocked regions, confirmed on clean images)",
        summary=(
            "Looks in each suspicious image for a region that, pasted onto clean images, leads them to the same class; "
            "without suspicious images, tries generic patches as triggers."
        ),
        paper=(
            "Udeshi et al., Model Agnostic Defence against Backdoor Attacks in Machine Learning, arXiv 1908.02203, "
            "2019; the search among generic patches is Assay's own."
        ),
        threat_model=EXAMINER,
        atlas=ATLAS,
    )
    short = "neo"
    detector = "NEO"
    measured = "Share of clean images that the best region leads to the image's class"
    presets = {"standard": {}, "full": {"max_images": 1000, "stride": 1}}

    max_images: int = Field(
        default=300,
        ge=FEWEST_IMAGES,
        description="At most so many clean images for all purposes together, and suspects.",
    )
    side: int = Field(default=6, ge=1, le=32, description="The block's side, in 32nds of the image's shorter side.")
    stride: int = Field(default=2, ge=1, le=32, description="What the block is moved by, in the same measure.")
    confirmations: int = Field(default=10, ge=1, description="Clean images that a suspicious region is pasted onto.")

    def places(self, oracle: Oracle) -> list[Block]:
        """Where the block is put."""
        shorter = min(oracle.input_shape[1:])
        side, stride = (max(1, round(part * shorter / 32)) for part in (self.side, self.stride))
        return blocks(oracle.input_shape, side, min(stride, side))

    def measurements(
        self, oracle: Oracle, images: Images, pool: torch.Tensor, context: Context, purpose: str
    ) -> Floats:
        """Shares (n,) in [0, 1]."""
        places, of_pool = self.places(oracle), oracle.ask(pool).labels
        shares = np.zeros(len(images))
        with context.progress.step(f"blocking {purpose}", len(images)) as bar:
            for row in range(len(images)):
                (image,) = images.take(np.array([row]))
                shares[row] = locate(oracle, image, places, pool, of_pool, self.confirmations).share
                bar.advance()
        return shares

    def questions(self, oracle: Oracle) -> int:
        """One question, and one a place; how many regions become candidates is not known beforehand."""
        return 1 + len(self.places(oracle))

    def regions(self, oracle: Oracle, roles: Roles, judged: Judged) -> list[Region]:
        """Regions to show; they have been asked about before, so that they cost nothing."""
        worst = np.argsort(-judged.suspects, kind="stable")[:4]
        places, of_pool = self.places(oracle), oracle.ask(roles.pool).labels
        regions = []
        for image in roles.suspects.take(worst):
            found = locate(oracle, image, places, roles.pool, of_pool, self.confirmations)
            if found.place is not None:
                regions.append(Region(image, found.place, found.label, found.beneath, found.share, roles.pool[0]))
        return regions


def locate(
    oracle: Oracle,
    image: torch.Tensor,
    places: list[Block],
    pool: torch.Tensor,
    of_pool: NDArray[np.int64],
    confirmations: int,
) -> Located:
    """Look for the region of one image (c, h, w) that leads most of some clean images to its class.

    Clean are the first ``confirmations`` of the pool (m, c, h, w) whose predictions (m,) are another class. Of equal
    shares, the first place counts.
    """
    label, colour = int(oracle.ask(image[None]).labels[0]), dominant_colour(image)
    beneath = _labels(oracle, (blocked(image, some, colour) for some in batched(places, BATCH)))
    candidates = np.flatnonzero(beneath != label)
    clean = pool[torch.from_numpy(np.flatnonzero(of_pool != label)[:confirmations])]
    if not len(candidates) or not len(clean):
        return Located(0.0, None, label, label)
    pasted = (
        torch.cat([transplanted(image, places[index], clean) for index in some])
        for some in batched(candidates.tolist(), max(1, BATCH // len(clean)))
    )
    shares = (_labels(oracle, pasted) == label).reshape(len(candidates), len(clean)).mean(axis=1)
    best = candidates[shares.argmax()]
    return Located(float(shares.max()), places[best], label, int(beneath[best]))


def batched(items: list[T], size: int) -> Iterator[list[T]]:
    """The items in order, ``size`` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _labels(oracle: Oracle, images: Iterable[torch.Tensor]) -> NDArray[np.int64]:
    return np.concatenate([oracle.ask(part).labels for part in images])
