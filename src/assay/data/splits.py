"""The disjoint parts of the data that an assessment uses."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import DataError
from assay.data.formats.registry import Dataset
from assay.data.images import Fitted, Images, Shape, Subset, batches, shape_text

MEMBERS = 10_000
"""Members that are taken unless told otherwise."""

TOLERATED = 0.01
"""The share of the smaller part that may be in the other too. Real data hold a few true duplicates."""


class Splits(NamedTuple):
    """Disjoint parts of a target's data.

    ``members`` were in the target's training set and ``non_members`` were not: the evaluator's truth. ``auxiliary`` is
    what an attacker has: the rest of the training set (a partial training set), or an out-of-distribution set resized
    to the target's input. ``suspects`` are images that came in from outside and may carry a backdoor's trigger; their
    labels mean nothing. Methods that need none of one part work with it missing.
    """

    members: Images | None = None
    non_members: Images | None = None
    auxiliary: Images | None = None
    suspects: Images | None = None

    def digests(self) -> dict[str, str]:
        """Part name to content digest, parts that are there."""
        return {name: part.digest for name, part in self._asdict().items() if part is not None}

    def declared(self, names: Collection[str], by: str) -> Splits:
        """The parts of these names alone, for the method ``by``: reading another is an error that names it."""
        kept = DeclaredSplits(*(part if name in names else None for name, part in self._asdict().items()))
        kept.names, kept.by = frozenset(names), by
        return kept

    def duplicates(self) -> int:
        """Images that are members and non-members at once; see `overlap`.

        Such an image has no truth for a membership attack to find. A handful is left in, so that an accuracy means
        the same here as where the data set was published, and belongs in a note beside the result.

        Raises:
            DataError: if they are more than 1 % of the smaller part: then one set was taken for both.
        """
        if self.members is None or self.non_members is None:
            return 0
        common, smaller = overlap(self.members, self.non_members), min(len(self.members), len(self.non_members))
        if common > TOLERATED * smaller:
            raise DataError(
                f"{common} images of {self.members.name} are in {self.non_members.name} too: members must not be among "
                f"the non-members (at most {TOLERATED:.0%} of {smaller} is tolerated); --drop-duplicates leaves those "
                "non-members out."
            )
        return common


class DeclaredSplits(Splits):
    """What a method is given: the parts that it declares, which its trial's key covers."""

    names: frozenset[str] = frozenset(Splits._fields)
    by: str = ""

    def __getattribute__(self, name: str) -> Any:
        if name in Splits._fields and name not in self.names:
            raise DataError(
                f"{self.by} reads the {name.replace('_', '-')}, which it declares in neither parts nor uses."
            )
        return super().__getattribute__(name)


def overlap(a: Images, b: Images) -> int:
    """Number of images of the smaller set that the other set contains too, pixel for pixel, whatever their labels."""
    smaller, larger = sorted((a, b), key=len)
    known = set(_image_digests(larger))
    return sum(digest in known for digest in _image_digests(smaller))


def without_duplicates(images: Images, others: Images) -> Images:
    """The images that ``others`` do not contain, pixel for pixel, whatever their labels; the same set if that is all.

    Raises:
        DataError: if ``others`` contain all of them.
    """
    known = set(_image_digests(others))
    rows = [row for row, digest in enumerate(_image_digests(images)) if digest not in known]
    return images if len(rows) == len(images) else Subset(images, rows)


def _image_digests(images: Images) -> list[bytes]:
    return [
        hashlib.sha256(image.data).digest()
        for batch in batches(images)
        for image in batch.images.numpy().reshape(len(batch.images), -1)
    ]


def make_splits(
    dataset: Dataset,
    *,
    input_shape: Shape,
    members: int | None = None,
    non_members: int | None = None,
    auxiliary: int | None = None,
    trained_on: int | None = None,
    out_of_distribution: Images | None = None,
    seed: int,
) -> Splits:
    """Members, non-members and auxiliary images for a model trained on ``dataset.train``.

    Members are rows of train, 10,000 of them or half where there are fewer than 20,000. The auxiliary set is the rest
    of train, or ``out_of_distribution`` made to fit the input. Non-members are the whole of test. ``members``,
    ``non_members`` and ``auxiliary`` ask for other sizes, 0 for none. All rows come in a random order of the seed, so
    that the first k of a part are a random sample of it. Where the model was trained on the first ``trained_on`` rows
    of train only, members are among those, and the auxiliary set is what the model has not seen.

    Raises:
        DataError: if the images do not fit the input, an asked size is more than there is, or more than 1 % of the
            members are among the non-members (see `Splits.duplicates`).
    """
    for part in (dataset.train, dataset.test):
        if part is not None and part.shape != input_shape:
            raise DataError(
                f"The target takes images of {shape_text(input_shape)} (channels x height x width), and "
                f"{part.name} has {shape_text(part.shape)}: if the model resizes its images, say preprocessing.size = "
                "[height, width] in a target file."
            )
    if min(members or 0, non_members or 0, auxiliary or 0) < 0:
        raise DataError("The number of members, non-members or auxiliary images must be 0 or more.")
    there = 0 if dataset.train is None else len(dataset.train)
    seen = there if trained_on is None else trained_on
    if seen > there:
        raise DataError(f"The model was trained on {seen} images, and {dataset.name} has {there} training images.")
    from_train = auxiliary or 0 if out_of_distribution is None else 0
    if members is None:
        members = min(MEMBERS, there // 2, max(there - from_train, 0)) if seen == there else min(MEMBERS, seen)
    free = members if seen == there else seen
    if members > seen or free + from_train > there:
        wanted = f"{members} members" + (f" and {from_train} auxiliary images" if from_train else "")
        raise DataError(f"{wanted} were asked for, and {dataset.name} has {there} training images.")
    train_seed, test_seed, other_seed = np.random.SeedSequence(seed).spawn(3)
    order = np.random.default_rng(train_seed).permutation(there)
    order = np.concatenate([order[order < seen], order[order >= seen]])
    if out_of_distribution is None:
        attacker = _part(dataset.train, order[free:][:auxiliary], "auxiliary images")
    else:
        fits = out_of_distribution.shape == input_shape
        fitted = out_of_distribution if fits else Fitted(out_of_distribution, input_shape)
        attacker = _sample(fitted, auxiliary, other_seed, "auxiliary images")
    splits = Splits(
        _part(dataset.train, order[:members], "members"),
        _sample(dataset.test, non_members, test_seed, "non-members"),
        attacker,
    )
    splits.duplicates()
    return splits


def _sample(images: Images | None, size: int | None, seed: np.random.SeedSequence, role: str) -> Images | None:
    there = 0 if images is None else len(images)
    if size is not None and size > there:
        raise DataError(f"{size} {role} were asked for, and there are {there} images to choose from.")
    return _part(images, np.random.default_rng(seed).permutation(there)[:size], role)


def _part(images: Images | None, rows: NDArray[np.int64], role: str) -> Images | None:
    return None if images is None or len(rows) == 0 else Subset(images, rows, f"{images.name} ({role})")
